"""`/runs`."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.http.replies import ActionDone, Reply, reply
from services.gateway.runs.actions import RunActions
from services.gateway.runs.service import RunService, checked
from services.gateway.runs.wire import CancelRun, LogLine, NoRunOptions, RunFilter, RunStory, RunView
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import RunStatus, Source

Runs: TypeAlias = NamedDependency[RunService]
Actions: TypeAlias = NamedDependency[RunActions]

READ, WRITE = requires(Scope.RUNS_READ), requires(Scope.TASKS_WRITE)


class RunController(Controller):
    path = "/runs"
    tags = ("runs",)

    @get(opt=READ, summary="List runs, newest first")
    async def list_runs(
        self,
        *,
        act: CurrentAct,
        runs: Runs,
        task_id: FromQuery[UUID | None] = None,
        status: FromQuery[RunStatus | None] = None,
        success: FromQuery[bool | None] = None,
        source: FromQuery[Source | None] = None,
        start_time: FromQuery[datetime | None] = None,
        end_time: FromQuery[datetime | None] = None,
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
    ) -> Page[RunView]:
        filters = checked(RunFilter(task_id, status, success, source, start_time, end_time))
        items, total = await act.read(lambda connection: runs.list(connection, act.caller, filters, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/{run_id:uuid}", opt=READ, summary="Show a run with its steps and attempts")
    async def get_run(self, act: CurrentAct, runs: Runs, run_id: FromPath[UUID]) -> RunStory:
        return await act.read(lambda connection: runs.find(connection, act.caller, run_id))

    @get("/{run_id:uuid}/logs", opt=READ, summary="List what the targets of a run told")
    async def get_run_log(
        self,
        act: CurrentAct,
        runs: Runs,
        run_id: FromPath[UUID],
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
    ) -> Page[LogLine]:
        items, total = await act.read(lambda connection: runs.log(connection, act.caller, run_id, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/task/{task_id:uuid}/latest", opt=READ, summary="Show the newest run of a task")
    async def get_latest_run(self, act: CurrentAct, runs: Runs, task_id: FromPath[UUID]) -> RunStory:
        return await act.read(lambda connection: runs.latest(connection, act.caller, task_id))

    @post("/{run_id:uuid}/cancel", opt=WRITE, status_code=200, summary="Stop a run")
    async def cancel_run(
        self, act: CurrentAct, run_actions: Actions, run_id: FromPath[UUID], data: JSONBody[CancelRun | None] = None
    ) -> Response[ActionDone]:
        options = data or CancelRun()
        return await _done(act, lambda connection: run_actions.cancel(connection, act, run_id, options))

    @post("/{run_id:uuid}/replay", opt=WRITE, status_code=200, summary="Do a finished run again")
    async def replay_run(
        self, act: CurrentAct, run_actions: Actions, run_id: FromPath[UUID], data: JSONBody[NoRunOptions | None] = None
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: run_actions.replay(connection, act, run_id), data)


async def _done(
    act: Act, action: Callable[[AsyncConnection], Awaitable[ActionDone]], _options: NoRunOptions | None = None
) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await action(connection))

    return await act.write(change)
