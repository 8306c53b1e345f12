"""`/runs`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from services.gateway.http.replies import ActionDone, Reply, reply
from services.gateway.runs.actions import RunActions
from services.gateway.runs.service import RunService, checked
from services.gateway.runs.wire import CancelRun, LogLine, LogSort, NoRunOptions, RunFilter, RunSort, RunStory, RunView
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import RunStatus, Source

Runs: TypeAlias = NamedDependency[RunService]
Actions: TypeAlias = NamedDependency[RunActions]

SortOfRuns: TypeAlias = Annotated[RunSort, QueryParameter(description="By nominal time; with a - the newest first.")]
SortOfLog: TypeAlias = Annotated[LogSort, QueryParameter(description="As they were told; with a - the newest first.")]
Success: TypeAlias = Annotated[
    bool | None, QueryParameter(description="true: what succeeded; false: what failed, be it after its last retry.")
]
StartTime: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="Of scheduled_for: from then on, with its offset from UTC.")
]
EndTime: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="Of scheduled_for: before then, at most 366 days after start_time.")
]
CreatedBy: TypeAlias = Annotated[
    UUID | None, QueryParameter(description="The runs of one agent; only an admin sees those of others.")
]
IncludeErrors: TypeAlias = Annotated[
    bool, QueryParameter(description="Show the messages of errors, which otherwise are replaced by a hint.")
]

READ, WRITE = requires(Scope.RUNS_READ), requires(Scope.TASKS_WRITE)


class RunController(Controller):
    path = "/runs"
    tags = ("runs",)

    @get(opt=READ, summary="List runs")
    async def list_runs(
        self,
        *,
        act: CurrentAct,
        runs: Runs,
        task_id: FromQuery[UUID | None] = None,
        status: FromQuery[RunStatus | None] = None,
        success: Success = None,
        source: FromQuery[Source | None] = None,
        start_time: StartTime = None,
        end_time: EndTime = None,
        created_by: CreatedBy = None,
        include_errors: IncludeErrors = False,
        sort: SortOfRuns = "-scheduled_for",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[RunView]:
        """Newest first, unless sorted otherwise. An agent sees its own runs, an admin those of all. Of an error its
        kind is shown, its message only with `include_errors`; an output of more than 8 KiB is left out. Both are in
        the answer to `GET /runs/{run_id}`. A page far from the beginning is found at once by the `cursor`."""
        asked = RunFilter(
            task_id=task_id,
            status=status,
            success=success,
            source=source,
            start_time=start_time,
            end_time=end_time,
            created_by=created_by,
            include_errors=include_errors,
        )
        filters = checked(asked)
        request = act.page_request(filters, sort=sort, limit=limit, offset=offset, cursor=cursor)
        return act.page(
            request, await act.read_list(lambda connection: runs.list(connection, act.caller, filters, request))
        )

    @get("/{run_id:uuid}", opt=READ, summary="Show a run with its steps and attempts")
    async def get_run(self, act: CurrentAct, runs: Runs, run_id: FromPath[UUID]) -> RunStory:
        """One occurrence and what became of it, with each step, and each attempt that failed."""
        return await act.read(lambda connection: runs.find(connection, act.caller, run_id))

    @get("/{run_id:uuid}/logs", opt=READ, summary="List what the targets of a run told")
    async def get_run_log(
        self,
        *,
        act: CurrentAct,
        runs: Runs,
        run_id: FromPath[UUID],
        sort: SortOfLog = "seq",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[LogLine]:
        """In the order in which they were told, at most 1,000 of one run. They come from outside: show them as text."""
        request = act.page_request(None, sort=sort, limit=limit, offset=offset, cursor=cursor)
        return act.page(request, await act.read(lambda connection: runs.log(connection, act.caller, run_id, request)))

    @get("/task/{task_id:uuid}/latest", opt=READ, summary="Show the newest run of a task")
    async def get_latest_run(self, act: CurrentAct, runs: Runs, task_id: FromPath[UUID]) -> RunStory:
        """The one with the latest nominal time."""
        return await act.read(lambda connection: runs.latest(connection, act.caller, task_id))

    @post("/{run_id:uuid}/cancel", opt=WRITE | fails("run_finished"), status_code=200, summary="Stop a run")
    async def cancel_run(
        self, act: CurrentAct, run_actions: Actions, run_id: FromPath[UUID], data: JSONBody[CancelRun | None] = None
    ) -> Response[ActionDone]:
        """One that waits is canceled at once; one that runs is asked to stop, and has its outcome shortly."""
        options = data or CancelRun()
        return await _done(act, lambda connection: run_actions.cancel(connection, act, run_id, options))

    @post(
        "/{run_id:uuid}/replay",
        opt=WRITE | fails("run_not_finished", "task_not_active", "quota_exceeded"),
        status_code=200,
        summary="Do a finished run again",
    )
    async def replay_run(
        self, act: CurrentAct, run_actions: Actions, run_id: FromPath[UUID], data: JSONBody[NoRunOptions | None] = None
    ) -> Response[ActionDone]:
        """A new run with what the old one was given. `details.run_id` names it."""
        return await _done(act, lambda connection: run_actions.replay(connection, act, run_id), data)


async def _done(
    act: Act, action: Callable[[AsyncConnection], Awaitable[ActionDone]], _options: NoRunOptions | None = None
) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await action(connection))

    return await act.write(change)
