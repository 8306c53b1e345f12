"""What can be done with events."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.database import asking
from services.gateway.events import repository
from services.gateway.events.wire import EventCreate, EventPublished
from services.gateway.http.act import Act
from shared.events.announcer import Announcer
from shared.events.event import Event
from shared.events.publishing import publish
from shared.streams.doorbell import Bell
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.ids import uuid7


class EventService:
    def __init__(self, clock: DatabaseClock, announcer: Announcer) -> None:
        self._clock = clock
        self._announcer = announcer

    async def publish(self, connection: AsyncConnection, act: Act, wanted: EventCreate) -> EventPublished:
        event = Event(
            id=uuid7(self._clock.now()),
            topic=wanted.topic,
            payload=wanted.payload,
            source_agent_id=await _source(connection, act.caller, wanted.source_agent_id),
            published_by=act.caller.name,
            traceparent=act.traceparent,
        )
        published = await publish(asking(connection), event)
        details = {"topic": event.topic, "listeners": published.listeners, "source": str(event.source_agent_id)}
        await record(connection, act, Action.EVENT_PUBLISHED, event.id, details)
        act.after_commit(lambda: self._announcer.want(published))
        if published.listeners:
            act.ring(Bell.DUE_WORK, published.listeners)
        return EventPublished(event.id, event.topic, published.listeners, published.published_at, event.depth)


async def _source(connection: AsyncConnection, caller: Identity, source_agent_id: UUID | None) -> UUID:
    if source_agent_id is None or source_agent_id == caller.agent_id:
        return caller.agent_id
    if not caller.is_admin:
        message = "Leave source_agent_id out: an event comes from the token's agent. Only an admin may name another."
        raise invalid_field("source_agent_id", message, "unknown_field")
    if not await repository.is_active_agent(connection, source_agent_id):
        raise invalid_field("source_agent_id", "There is no active agent with this id.", "unknown_agent")
    return source_agent_id
