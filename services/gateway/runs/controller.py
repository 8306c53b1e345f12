"""`/runs`."""

from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.runs.service import RunService, checked
from services.gateway.runs.wire import RunFilter, RunView
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import RunStatus, Source

Runs: TypeAlias = NamedDependency[RunService]


class RunController(Controller):
    path = "/runs"
    tags = ("runs",)

    @get(opt=requires(Scope.RUNS_READ), summary="List runs, newest first")
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

    @get("/{run_id:uuid}", opt=requires(Scope.RUNS_READ), summary="Show a run")
    async def get_run(self, act: CurrentAct, runs: Runs, run_id: FromPath[UUID]) -> RunView:
        return await act.read(lambda connection: runs.find(connection, act.caller, run_id))

    @get("/task/{task_id:uuid}/latest", opt=requires(Scope.RUNS_READ), summary="Show the newest run of a task")
    async def get_latest_run(self, act: CurrentAct, runs: Runs, task_id: FromPath[UUID]) -> RunView:
        return await act.read(lambda connection: runs.latest(connection, act.caller, task_id))
