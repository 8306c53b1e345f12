"""An inbox as server-sent events, for as long as the token is valid."""

from collections.abc import AsyncIterator
from uuid import UUID

import msgspec

from services.gateway.auth.service import Authenticator
from services.gateway.http import streaming
from services.gateway.http.streaming import Upkeep, comment, message
from services.gateway.inbox.service import InboxService
from services.gateway.inbox.waiters import Waiter
from services.gateway.inbox.wire import InboxItem
from shared.vocabulary.faults import TooManyRequests, Unauthenticated, Unavailable

EVENT = "message"


class Pace(streaming.Pace, frozen=True):
    """`full_seconds`: how often a full stream looks whether something was settled elsewhere."""

    full_seconds: float = 1.0


class InboxStreams:
    """Opens streams."""

    pace = Pace()

    def __init__(self, inbox: InboxService, authenticator: Authenticator) -> None:
        self._inbox = inbox
        self._authenticator = authenticator

    def open(self, agent_id: UUID, token: str, *, window: int, visibility_seconds: int) -> "InboxStream":
        """Raises TooManyRequests."""
        self._inbox.waiters.check_room(agent_id)
        return InboxStream(
            self._inbox,
            agent_id,
            Upkeep(lambda: self._authenticator.identify(token), self.pace),
            window=window,
            visibility_seconds=visibility_seconds,
            full_seconds=self.pace.full_seconds,
        )


class InboxStream:
    """At most `window` messages are out at a time; what is settled, or becomes visible again, makes room."""

    def __init__(
        self,
        inbox: InboxService,
        agent_id: UUID,
        upkeep: Upkeep,
        *,
        window: int,
        visibility_seconds: int,
        full_seconds: float,
    ) -> None:
        self._inbox = inbox
        self._agent_id = agent_id
        self._upkeep = upkeep
        self._window = window
        self._visibility_seconds = visibility_seconds
        self._full_seconds = full_seconds
        self._held: dict[UUID, int] = {}

    async def events(self) -> AsyncIterator[bytes]:
        try:
            with self._inbox.waiters.enter(self._agent_id) as waiter:
                async for event in self._until_over(waiter):
                    self._upkeep.spoke()
                    yield event
        except (TooManyRequests, Unauthenticated):
            return

    async def _until_over(self, waiter: Waiter) -> AsyncIterator[bytes]:
        # Said at once, so that the client knows that it listens.
        yield comment("listening")
        while not waiter.is_over:
            items = await self._taken(waiter)
            for item in items:
                yield message(EVENT, msgspec.json.encode(item), str(item.id))
            if not items:
                await waiter.woken(self._pause_seconds(waiter))
            if self._upkeep.is_silent:
                yield comment("alive")
            await self._upkeep.check_token_if_due()

    async def _taken(self, waiter: Waiter) -> list[InboxItem]:
        """Without the database nothing is taken: the stream lives through its absence."""
        try:
            self._held = await self._inbox.still_held(self._held)
            room = self._window - len(self._held)
            waiter.is_full = room <= 0
            items = [] if waiter.is_full else await self._inbox.take(self._agent_id, room, self._visibility_seconds)
        except Unavailable:
            return []
        self._held |= {item.id: item.fence for item in items}
        return items

    def _pause_seconds(self, waiter: Waiter) -> float:
        pause_seconds = self._upkeep.pause_seconds()
        return min(pause_seconds, self._full_seconds) if waiter.is_full else pause_seconds
