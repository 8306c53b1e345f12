"""`/runs/task/{task_id}/stats` and `/runs/stats/summary`."""

from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.statistics.period import DAYS_DEFAULT, DAYS_MAX
from services.gateway.statistics.service import StatisticsService
from services.gateway.statistics.wire import AskedPeriod, RunSummary, TaskStatistics
from shared.vocabulary.scopes import Scope

Statistics: TypeAlias = NamedDependency[StatisticsService]
Days: TypeAlias = Annotated[
    int | None,
    QueryParameter(
        ge=1,
        le=DAYS_MAX,
        description=f"So many days up to now; {DAYS_DEFAULT} when neither these nor a range are given.",
    ),
]
Start: TypeAlias = Annotated[
    datetime | None,
    QueryParameter(description=f"From then on; left out: {DAYS_DEFAULT} days before the end. Not together with days."),
]
End: TypeAlias = Annotated[
    datetime | None,
    QueryParameter(description=f"Up to then, at most {DAYS_MAX} days after the start; left out: now. Not with days."),
]
Whose: TypeAlias = Annotated[
    UUID | None, QueryParameter(description="The runs of one agent; only an admin sees those of others.")
]

READ = requires(Scope.RUNS_READ)


class StatisticsController(Controller):
    path = "/runs"
    tags = ("runs",)

    @get("/task/{task_id:uuid}/stats", opt=READ, summary="Sum up the runs of a task")
    async def get_task_statistics(
        self,
        *,
        act: CurrentAct,
        statistics: Statistics,
        task_id: FromPath[UUID],
        days: Days = None,
        start_time: Start = None,
        end_time: End = None,
    ) -> TaskStatistics:
        """How the runs that ended in the period ended, how long they took and how late they began. A run counts at the
        hour of its outcome, and goes on counting when it is removed."""
        asked = AskedPeriod(days, start_time, end_time)
        return await act.read_list(lambda connection: statistics.of_task(connection, act.caller, task_id, asked))

    @get("/stats/summary", opt=READ | fails("not_found"), summary="Sum up all runs")
    async def get_run_summary(
        self,
        *,
        act: CurrentAct,
        statistics: Statistics,
        created_by: Whose = None,
        days: Days = None,
        start_time: Start = None,
        end_time: End = None,
    ) -> RunSummary:
        """The same of all runs of the calling agent; for an admin of all agents, or of the one in `created_by`."""
        asked = AskedPeriod(days, start_time, end_time)
        return await act.read_list(lambda connection: statistics.summary(connection, act.caller, created_by, asked))
