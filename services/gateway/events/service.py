"""What can be done with events as they are published."""

import hashlib
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record_all
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.database import asking
from services.gateway.events import repository
from services.gateway.events.forms import publisher_key
from services.gateway.events.repository import Named
from services.gateway.events.wire import EventBatch, EventCreate, EventPublished, EventsPublished
from services.gateway.http.act import Act
from shared.events.announcer import Announcer
from shared.events.event import Event, Published
from shared.events.publishing import find_published, publish_all
from shared.streams.doorbell import Bell
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.ids import uuid7


class EventService:
    def __init__(self, clock: DatabaseClock, announcer: Announcer) -> None:
        self._clock = clock
        self._announcer = announcer

    async def publish(self, connection: AsyncConnection, act: Act, wanted: EventCreate) -> tuple[EventPublished, bool]:
        """And whether it is new: not if its publisher named it so before."""
        (published,) = await self._publish(connection, act, [wanted], "")
        return _told(published), published.is_new

    async def publish_batch(self, connection: AsyncConnection, act: Act, batch: EventBatch) -> EventsPublished:
        published = await self._publish(connection, act, batch.events, "events")
        return EventsPublished([_told(each) for each in published], sum(each.listeners for each in published))

    async def _publish(
        self, connection: AsyncConnection, act: Act, wanted: Sequence[EventCreate], field: str
    ) -> list[Published]:
        """In their order. What is not new is answered as it was the first time."""
        await _check_sources(connection, act.caller, wanted, field)
        events = self._events(act, wanted)
        known = await _known(connection, events)
        new = [event for event in events if event.id not in known]
        told = await publish_all(asking(connection), new) if new else []
        made = {published.event.id: published for published in told}
        if made:
            subjects = [(event_id, _details(published)) for event_id, published in made.items()]
            await record_all(connection, act, Action.EVENT_PUBLISHED, subjects)
            self._announce(act, [*made.values()])
        first = {**made}
        for event_id in {*known.values()} - made.keys():
            first[event_id] = await find_published(asking(connection), event_id)
        return [made[event.id] if event.id in made else _again(first[known[event.id]]) for event in events]

    def _events(self, act: Act, wanted: Sequence[EventCreate]) -> list[Event]:
        """Their ids are in their order, too."""
        now = self._clock.now()
        ids = sorted(uuid7(now) for _ in wanted)
        return [
            Event(
                id=event_id,
                topic=each.topic,
                payload=each.payload,
                source_agent_id=each.source_agent_id or act.caller.agent_id,
                published_by=act.caller.name,
                traceparent=act.traceparent,
                attributes=each.attributes,
            )
            for event_id, each in zip(ids, wanted, strict=True)
        ]

    def _announce(self, act: Act, published: Sequence[Published]) -> None:
        def tell() -> None:
            for each in published:
                self._announcer.want(each)

        act.after_commit(tell)
        listeners = sum(each.listeners for each in published)
        if listeners:
            act.ring(Bell.DUE_WORK, listeners)


async def _known(connection: AsyncConnection, events: Sequence[Event]) -> Mapping[UUID, UUID]:
    """Of those that are not new: under which id they were published first, be it just before in the same batch."""
    names = {event.id: name for event in events if (name := _name_of(event)) is not None}
    if not names:
        return {}
    first: dict[Named, UUID] = {}
    for event_id, name in names.items():
        first.setdefault(name, event_id)
    owned = await repository.claim_keys(connection, first)
    return {event_id: owned[name] for event_id, name in names.items() if owned[name] != event_id}


def _name_of(event: Event) -> Named | None:
    key = publisher_key(event.attributes)
    return None if key is None else Named(event.source_agent_id, hashlib.sha256(key).digest())


async def _check_sources(
    connection: AsyncConnection, caller: Identity, wanted: Sequence[EventCreate], field: str
) -> None:
    others = {
        place: each.source_agent_id
        for place, each in enumerate(wanted)
        if each.source_agent_id is not None and each.source_agent_id != caller.agent_id
    }
    if not others:
        return
    if not caller.is_admin:
        message = "Leave source_agent_id out: an event comes from the token's agent. Only an admin may name another."
        raise invalid_field(_source_field(field, min(others)), message, "unknown_field")
    active = await repository.active_agents(connection, {*others.values()})
    for place, agent_id in others.items():
        if agent_id not in active:
            message = "There is no active agent with this id."
            raise invalid_field(_source_field(field, place), message, "unknown_agent")


def _source_field(field: str, place: int) -> str:
    return f"{field}[{place}].source_agent_id" if field else "source_agent_id"


def _details(published: Published) -> dict[str, object]:
    event = published.event
    return {"topic": event.topic, "listeners": published.listeners, "source": str(event.source_agent_id)}


def _again(first: Published) -> Published:
    return Published(first.event, first.published_at, first.listeners, is_new=False)


def _told(published: Published) -> EventPublished:
    event = published.event
    return EventPublished(
        event.id,
        event.topic,
        published.listeners,
        published.published_at,
        event.depth,
        event.source_agent_id,
        event.published_by,
    )
