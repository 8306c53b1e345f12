"""What the runs of a period came to."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.runs.repository import task_exists
from services.gateway.statistics import repository
from services.gateway.statistics.histogram import percentile_us
from services.gateway.statistics.period import period_of
from services.gateway.statistics.repository import Newest, Subject, Sums
from services.gateway.statistics.wire import AskedPeriod, Durations, Period, RunSummary, TaskStatistics
from shared.vocabulary.faults import NotFound
from shared.vocabulary.limits import TOTAL_MAX


class StatisticsService:
    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock

    async def of_task(
        self, connection: AsyncConnection, caller: Identity, task_id: UUID, asked: AskedPeriod
    ) -> TaskStatistics:
        period = period_of(asked, self._clock.now())
        if not await task_exists(connection, task_id, caller.owner_filter):
            raise NotFound("There is no such task.")
        return TaskStatistics(task_id=task_id, **await _statistics(connection, Subject(task_id=task_id), period))

    async def summary(
        self, connection: AsyncConnection, caller: Identity, created_by: UUID | None, asked: AskedPeriod
    ) -> RunSummary:
        """Of all agents for an admin who names none."""
        period = period_of(asked, self._clock.now())
        agent_id = await _whose(connection, caller, created_by)
        tasks = await repository.count_tasks(connection, agent_id, period)
        return RunSummary(
            created_by=agent_id,
            tasks_executed=min(tasks, TOTAL_MAX),
            is_tasks_executed_capped=tasks > TOTAL_MAX,
            **await _statistics(connection, Subject(agent_id=agent_id), period),
        )


async def _whose(connection: AsyncConnection, caller: Identity, created_by: UUID | None) -> UUID | None:
    """Raises NotFound for an agent that there is not, or whose runs the caller may not see."""
    if created_by is None:
        return caller.owner_filter
    is_hidden = caller.owner_filter not in (None, created_by)
    if is_hidden or not await repository.agent_exists(connection, created_by):
        raise NotFound("There is no such agent.")
    return created_by


async def _statistics(connection: AsyncConnection, subject: Subject, period: Period) -> dict[str, Any]:
    """The fields of RunStatistics."""
    sums = await repository.sum_up(connection, subject, period)
    newest = await repository.find_newest(connection, subject)
    failed = sums.failed + sums.dead
    total = sums.succeeded + failed + sums.canceled + sums.skipped + sums.expired
    return {
        "start_time": period.since,
        "end_time": period.until,
        "total": total,
        "successful": sums.succeeded,
        "failed": failed,
        "dead": sums.dead,
        "canceled": sums.canceled,
        "skipped": sums.skipped,
        "expired": sums.expired,
        "success_rate": _share(sums.succeeded, sums.succeeded + failed),
        "failure_rate": _share(failed, sums.succeeded + failed),
        "runs_per_day": round(total / period.days, 3),
        **_durations(sums),
        **_last(newest),
    }


def _share(some: int, all_of_them: int) -> float | None:
    return round(some / all_of_them, 6) if all_of_them else None


def _durations(sums: Sums) -> dict[str, Durations]:
    return {
        "execution": _measured(sums.execution_us, sums.executed, sums.executions),
        "lateness": _measured(sums.lateness_us, sums.begun, sums.latenesses),
    }


def _measured(sum_us: int, runs: int, histogram: list[int]) -> Durations:
    average = sum_us / runs if runs else None
    return Durations(_ms(average), *(_ms(percentile_us(histogram, share)) for share in (0.5, 0.95, 0.99)))


def _ms(us: float | None) -> float | None:
    return None if us is None else round(us / 1000, 3)


def _last(newest: Mapping[str, Newest]) -> dict[str, Any]:
    found = {f"last_{kind}": newest.get(kind) for kind in ("run", "success", "failure")}
    moments = {f"{name}_at": None if one is None else one.at for name, one in found.items()}
    return moments | {f"{name}_id": None if one is None else one.run_id for name, one in found.items()}
