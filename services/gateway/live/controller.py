"""`/runs/stream`, `/runs/{run_id}/stream` and `/events/stream`."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from litestar.response import Stream

from services.gateway.http.access import produces, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.streaming import EVENT_STREAM, stream_of, token_of
from services.gateway.live.resuming import LastEventId, last_id_of
from services.gateway.live.run_listener import WantedRuns
from services.gateway.live.service import LiveService
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import RunStatus

Live: TypeAlias = NamedDependency[LiveService]
AnyRequest: TypeAlias = Request[Any, Any, Any]
OfTask: TypeAlias = Annotated[UUID | None, QueryParameter(description="Runs of this task alone.")]
InStatus: TypeAlias = Annotated[RunStatus | None, QueryParameter(description="Only when a run comes into this status.")]
OfTopic: TypeAlias = Annotated[
    str | None,
    QueryParameter(description="A topic, or a pattern: `*` stands for one segment, `**` at the end for one or more."),
]
TOO_MANY = "too_many_streams"
RESUMED = ("invalid_last_event_id", "history_gone")


class RunStreamController(Controller):
    path = "/runs"
    tags = ("runs",)

    @get(
        "/stream",
        opt={**requires(Scope.RUNS_READ), **produces(EVENT_STREAM), **fails(TOO_MANY, *RESUMED)},
        media_type=EVENT_STREAM,
        summary="Follow runs as they change, as server-sent events",
    )
    async def stream_runs(
        self,
        *,
        request: AnyRequest,
        act: CurrentAct,
        live: Live,
        task_id: OfTask = None,
        status: InStatus = None,
        last_event_id: LastEventId = None,
    ) -> Stream:
        """Each change of an own run (for an admin: of any run) as an event `run`, whose data is the run as lists show
        it. Several changes in quick succession may come as one, the newest. The changes of one run come in their order;
        one may come twice. After a disconnect, send the last `id` as `Last-Event-ID`: what has changed since is told
        first, for up to 15 minutes. Comments keep the connection alive; with them an `id` may come without data, which
        counts as well."""
        last_id = last_id_of(request, last_event_id)
        wanted = WantedRuns(owner=act.caller.owner_filter, task_id=task_id, status=status)
        return stream_of(await live.follow_runs(act.caller, token_of(request), wanted, last_id))

    @get(
        "/{run_id:uuid}/stream",
        opt={**requires(Scope.RUNS_READ), **produces(EVENT_STREAM), **fails(TOO_MANY)},
        media_type=EVENT_STREAM,
        summary="Follow one run until it has its outcome, as server-sent events",
    )
    async def stream_run(self, *, request: AnyRequest, act: CurrentAct, live: Live, run_id: FromPath[UUID]) -> Stream:
        """The run as it stands, as an event `run`, then each change. When it has its outcome, an event `end` comes and
        the stream is over. After a disconnect, simply open it again."""
        return stream_of(await live.follow_run(act.caller, token_of(request), run_id))


class EventStreamController(Controller):
    path = "/events"
    tags = ("events",)

    @get(
        "/stream",
        opt={**requires(Scope.EVENTS_READ), **produces(EVENT_STREAM), **fails(TOO_MANY, *RESUMED)},
        media_type=EVENT_STREAM,
        summary="Follow events as they are published, as server-sent events",
    )
    async def stream_events(
        self,
        *,
        request: AnyRequest,
        act: CurrentAct,
        live: Live,
        topic: OfTopic = None,
        last_event_id: LastEventId = None,
    ) -> Stream:
        """Each published event, of every agent, as an event `event` whose `id` is its own. One may come twice: tell it
        by its id. After a disconnect, send the last `id` as `Last-Event-ID`: what was published since, and shortly
        before, is told first, as long as events are kept."""
        last_id = last_id_of(request, last_event_id)
        return stream_of(await live.follow_events(act.caller, token_of(request), topic, last_id))
