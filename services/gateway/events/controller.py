"""`/events`."""

from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.events.forms import ONE, SEVERAL
from services.gateway.events.recent import RecentEvents, RecentFilter
from services.gateway.events.replaying import Replaying
from services.gateway.events.service import EventService
from services.gateway.events.topics import TopicService
from services.gateway.events.wire import (
    EventBatch,
    EventCreate,
    EventPublished,
    EventReplay,
    EventsPublished,
    EventsRemoved,
    EventsReplayed,
    EventView,
    TopicView,
)
from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import answers, fails
from services.gateway.http.forms import takes, takes_batch
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from services.gateway.http.replies import Reply, reply
from shared.vocabulary.faults import Forbidden
from shared.vocabulary.limits import (
    BATCH_BODY_BYTES,
    EVENT_HOURS_KEPT,
    EVENT_HOURS_KEPT_DEFAULT,
    EVENTS_SHOWN,
    PAGE_DEFAULT,
    TOPIC_CHARACTERS,
)
from shared.vocabulary.scopes import Scope

Events: TypeAlias = NamedDependency[EventService]
Topics: TypeAlias = NamedDependency[TopicService]
Recent: TypeAlias = NamedDependency[RecentEvents]
Replays: TypeAlias = NamedDependency[Replaying]
TopicQuery: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=TOPIC_CHARACTERS,
        description="A topic, or a pattern: * stands for one segment, ** at the end for all that follow.",
    ),
]
PrefixQuery: TypeAlias = Annotated[
    str, QueryParameter(max_length=TOPIC_CHARACTERS, description="What the topics and patterns begin with.")
]
AfterQuery: TypeAlias = Annotated[
    UUID | None, QueryParameter(description="Only events that were published after the one with this id.")
]
MostEvents: TypeAlias = Annotated[int, QueryParameter(ge=1, le=EVENTS_SHOWN, description="How many events at most.")]
AgeQuery: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=EVENT_HOURS_KEPT, description="Events that are older than so many hours are removed.")
]

PUBLISH, READ = requires(Scope.EVENTS_PUBLISH), requires(Scope.EVENTS_READ)
OF_EVENTS = ("invalid_topic", "invalid_name", "unknown_agent")
NEWEST_FIRST = "-published_at"


class EventController(Controller):
    path = "/events"
    tags = ("events",)

    @post(opt=PUBLISH | takes(ONE) | fails(*OF_EVENTS) | answers(200), summary="Publish an event")
    async def publish_event(
        self, act: CurrentAct, events: Events, data: JSONBody[EventCreate]
    ) -> Response[EventPublished]:
        """Every active task that waits for its topic, and whose filter it passes, runs because of it. Also takes an
        event in the JSON format of CloudEvents 1.0 (`application/cloudevents+json`): `type` is the topic, `data` the
        payload, and the other attributes are kept. An event whose attributes `id` and `source` were published before by
        the same agent is answered with 200 as it was the first time, and nothing runs again."""

        async def change(connection: AsyncConnection) -> Reply:
            published, is_new = await events.publish(connection, act, data)
            return reply(published, status=201 if is_new else 200)

        return await act.write(change)

    @post(
        "/batch",
        opt=PUBLISH | takes_batch(SEVERAL) | fails(*OF_EVENTS),
        request_max_body_size=BATCH_BODY_BYTES,
        summary="Publish up to 1,000 events",
    )
    async def publish_events(
        self, act: CurrentAct, events: Events, data: JSONBody[EventBatch]
    ) -> Response[EventsPublished]:
        """All of them, in their order and at once; or none, when one of them is wrong. Also takes the batch format of
        CloudEvents, an array (`application/cloudevents-batch+json`). Together they may make 10,000 runs."""

        async def change(connection: AsyncConnection) -> Reply:
            return reply(await events.publish_batch(connection, act, data), status=201)

        return await act.write(change)

    @get("/topics", opt=READ, summary="List topics and who listens")
    async def list_topics(
        self, act: CurrentAct, topics: Topics, q: PrefixQuery = "", limit: Limit = PAGE_DEFAULT, offset: Offset = 0
    ) -> Page[TopicView]:
        """What active tasks wait for, topics and patterns, and the topics of the last 24 hours, by name. At most 1,000
        of each are looked at: `is_total_capped` says that there are more, and `q` finds them. A new name may take a
        second to be listed."""
        return await topics.page(act, q, limit, offset)

    @get("/stream/recent", opt=READ, summary="List the newest events")
    async def list_recent_events(
        self,
        *,
        act: CurrentAct,
        recent: Recent,
        topic: TopicQuery = None,
        after_id: AfterQuery = None,
        limit: MostEvents = PAGE_DEFAULT,
        cursor: Cursor = None,
    ) -> Page[EventView]:
        """Newest first, of all agents: events are a bus that all share. A pattern covers at most 1,000 topics that
        begin alike. Of many large payloads, the older ones are left out."""
        filters = RecentFilter(topic, after_id)
        request = act.page_request(filters, sort=NEWEST_FIRST, limit=limit, offset=0, cursor=cursor)
        return act.page(request, await act.read_list(lambda connection: recent.list(connection, filters, request)))

    @delete("/stream/cleanup", opt=requires(Scope.ADMIN), status_code=200, summary="Remove old events")
    async def clean_up_events(
        self, act: CurrentAct, recent: Recent, max_age_hours: AgeQuery = EVENT_HOURS_KEPT_DEFAULT
    ) -> Response[EventsRemoved]:
        """From the database, and then from the event log in Redis. An event that was not told to Redis yet stays. One
        call removes some 20,000 events: `has_more` says to call again. The runs that events made are not touched."""

        async def change(connection: AsyncConnection) -> Reply:
            return reply(await recent.clean_up(connection, act, max_age_hours))

        return await act.write(change)

    @post(
        "/replay",
        opt=requires(Scope.TASKS_WRITE)
        | fails("insufficient_scope", "invalid_topic", "not_found", "not_an_event_task", "task_not_active"),
        status_code=200,
        summary="Give past events to a task",
    )
    async def replay_events(
        self, act: CurrentAct, replays: Replays, data: JSONBody[EventReplay]
    ) -> Response[EventsReplayed]:
        """Each of them becomes one run (its source is `backfill`), in the order in which they were published; the
        task's bounds, blackouts and `max_runs` do not hold. Needs `events:read`, too. A second call makes new runs,
        unless it has the same Idempotency-Key."""
        if not act.caller.holds(Scope.EVENTS_READ):
            message = f"The token's agent needs the scope {Scope.EVENTS_READ} for this."
            raise Forbidden(message, error_code="insufficient_scope")

        async def change(connection: AsyncConnection) -> Reply:
            return reply(await replays.replay(connection, act, data))

        return await act.write(change)
