"""`/events`."""

from typing import TypeAlias

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.events.service import EventService
from services.gateway.events.wire import EventCreate, EventPublished
from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.replies import Reply, reply
from shared.vocabulary.scopes import Scope

Events: TypeAlias = NamedDependency[EventService]


class EventController(Controller):
    path = "/events"
    tags = ("events",)

    @post(opt=requires(Scope.EVENTS_PUBLISH), summary="Publish an event")
    async def publish_event(
        self, act: CurrentAct, events: Events, data: JSONBody[EventCreate]
    ) -> Response[EventPublished]:
        async def change(connection: AsyncConnection) -> Reply:
            return reply(await events.publish(connection, act, data), status=201)

        return await act.write(change)
