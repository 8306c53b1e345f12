"""The tool `event.publish`: writes the event and the work that it makes, then tells Redis."""

from collections.abc import Mapping

import asyncpg

from services.executor.tools.base import StepContext
from services.executor.tools.checked import checked
from services.executor.tools.owner import Mandate, act_for_owner
from shared.database.asking import asking
from shared.events.announcer import Announcer
from shared.events.event import Event, Published
from shared.events.publishing import publish
from shared.runtime.bells import Bells
from shared.streams.doorbell import Bell
from shared.tools.base import ToolSpec
from shared.tools.event_publish import EVENT_PUBLISH, EventPublishInput
from shared.vocabulary.ids import id_of_step
from shared.vocabulary.scopes import Scope


class EventPublish:
    """The event's id is the step's, so that a step which is tried again publishes nothing twice."""

    def __init__(self, pool: asyncpg.Pool, announcer: Announcer, bells: Bells) -> None:
        self._pool = pool
        self._announcer = announcer
        self._bells = bells

    @property
    def spec(self) -> ToolSpec:
        return EVENT_PUBLISH

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        wanted = checked(arguments, EVENT_PUBLISH, EventPublishInput)
        event = _event_of(wanted, context)

        async def act(mandate: Mandate) -> Published:
            published = await publish(asking(mandate.connection), event)
            if published.is_new:
                details = {"topic": event.topic, "listeners": published.listeners}
                await mandate.record("event.published", event.id, details)
            return published

        published = await act_for_owner(self._pool, context, Scope.EVENTS_PUBLISH, act)
        self._announcer.want(published)
        if published.is_new and published.listeners:
            self._bells.want(Bell.DUE_WORK, published.listeners)
        return {"event_id": str(event.id), "topic": published.event.topic, "listeners": published.listeners}

    async def close(self) -> None:
        """What it works with belongs to the executor."""


def _event_of(wanted: EventPublishInput, context: StepContext) -> Event:
    return Event(
        id=id_of_step(context.run_id, context.step_id),
        topic=wanted.topic,
        payload=wanted.payload,
        source_agent_id=context.agent_id,
        published_by=f"run {context.run_id}",
        depth=context.event_depth + 1,
        traceparent=context.traceparent,
    )
