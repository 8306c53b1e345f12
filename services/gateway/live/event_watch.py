"""Follows the events for all who listen in this process."""

import contextlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from uuid import UUID

from services.gateway.database import Database
from services.gateway.events.wire import EventView
from services.gateway.live import event_repository as repository
from services.gateway.live.audience import Audience
from services.gateway.live.event_listener import EventListener, Shown, shown
from services.gateway.live.position import Position, mended
from services.gateway.live.repository import ask_position
from shared.streams.event_log import Envelope

PAGE = 500
READ_AT_ONCE = 100
# Of events told lately: what is relayed twice, and what the look finds that was told, is known by it.
IDS_KEPT = 20_000


class EventWatch:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._audience: Audience[EventListener] = Audience()
        self._looked_to: Position | None = None
        self._known: dict[UUID, None] = {}

    @property
    def is_followed(self) -> bool:
        return bool(len(self._audience))

    async def followed(self) -> None:
        """Return as soon as anybody listens."""
        await self._audience.gathered()

    @contextlib.contextmanager
    def enter(self, listener: EventListener) -> Iterator[None]:
        try:
            with self._audience.enter(listener):
                yield
        finally:
            if not self.is_followed:
                self._looked_to = None

    def close(self) -> None:
        self._audience.close()

    async def begin(self) -> None:
        """Whoever has entered misses nothing from now on. Raises Unavailable."""
        now = await self._ask()
        if self._looked_to is None:
            self._looked_to = now

    async def next_page(self, listener: EventListener) -> list[Shown]:
        """Of what a listener lacks that is behind. Raises Unavailable."""
        behind = listener.behind
        if behind is None:
            return []
        page = await self._database.read(
            lambda connection: repository.list_after(connection, behind, listener.topic, PAGE)
        )
        return listener.turn_page(behind, [shown(view) for view in page], is_last=len(page) < PAGE)

    async def find_publication(self, event_id: UUID) -> datetime | None:
        """Raises Unavailable."""
        return await self._database.read(lambda connection: repository.find_publication(connection, event_id))

    def tell(self, envelopes: Iterable[Envelope]) -> int:
        """How many of them somebody follows."""
        return self._spread(map(_view, envelopes))

    async def look(self) -> int:
        """For what nobody told. Raises Unavailable."""
        now = await self._ask()
        since = mended(self._looked_to or now, now)
        found = await self._database.read(lambda connection: repository.find_new(connection, since))
        missing = [event_id for event_id in found if event_id not in self._known]
        told = 0
        for start in range(0, len(missing), READ_AT_ONCE):
            told += self._spread(await self._read(missing[start : start + READ_AT_ONCE]))
        self._looked_to = now if self.is_followed else None
        return told

    def _spread(self, events: Iterable[EventView]) -> int:
        told = 0
        for event in events:
            if event.id in self._known:
                continue
            self._known[event.id] = None
            listeners = [listener for listener in self._audience if listener.covers(event.topic)]
            if listeners:
                told += 1
                written = shown(event)
                for listener in listeners:
                    listener.hear(written)
        while len(self._known) > IDS_KEPT:
            del self._known[next(iter(self._known))]
        return told

    async def _ask(self) -> Position:
        return await self._database.read(ask_position)

    async def _read(self, event_ids: Collection[UUID]) -> list[EventView]:
        return await self._database.read(lambda connection: repository.read_events(connection, event_ids))


def _view(envelope: Envelope) -> EventView:
    return EventView(
        id=envelope.id,
        topic=envelope.topic,
        payload=envelope.payload,
        is_payload_omitted=False,
        attributes=None if envelope.attributes is None else {**envelope.attributes},
        source_agent_id=envelope.source,
        published_by=envelope.published_by,
        published_at=envelope.published_at,
        depth=envelope.depth,
    )
