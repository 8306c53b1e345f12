"""What a change of a task does to its cursor and to the work that waits: a new revision each time."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice, takewhile
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.tasks import repository, waiting
from services.gateway.tasks.ahead import ahead_of
from services.gateway.tasks.changes import Changes
from shared.tasks.schedule import accept
from shared.timing.fault import NEVER_FIRES, ScheduleFault
from shared.timing.occurrences import Plans
from shared.timing.timetable import timetable_of
from shared.vocabulary.states import SkipReason, TaskStatus

# A request has its bounds, however long the outage was.
MISSED_RECORDED = 1000


async def reschedule(
    connection: AsyncConnection, caller: Identity, task: Mapping[str, Any], changes: Changes
) -> dict[str, Any]:
    """Take back what the old schedule made, point the cursor to the new one. The columns that follow from it."""
    anchor_at = task["now"].replace(microsecond=0) if changes.is_new_expression else task["anchor_at"]
    wanted = {**task, **changes.values, "anchor_at": anchor_at}
    # An owner may move the end of a schedule that only an admin could have made so frequent.
    shortest = caller.shortest_interval_seconds if changes.is_new_frequency else 0
    next_at = accept(timetable_of(wanted), task["now"], shortest)
    rev = task["schedule_rev"] + 1
    await repository.withdraw_work(connection, task, SkipReason.SCHEDULE_CHANGED, is_schedule_only=True)
    await _record_missed(connection, task, SkipReason.SCHEDULE_CHANGED)
    planned = await planned_runs(connection, task["id"], wanted["max_runs"])
    if wanted["max_runs"] is not None and planned >= wanted["max_runs"]:
        raise ScheduleFault(f"The task has run {planned} times already.", code=NEVER_FIRES, field="max_runs")
    if next_at is None:
        await repository.drop_cursor(connection, task["id"])
    elif task["status"] == TaskStatus.ACTIVE:
        await point(connection, {**task, **changes.values}, rev, next_at, planned)
    return {"anchor_at": anchor_at, "schedule_rev": rev, "schedule_error": None}


async def point(
    connection: AsyncConnection, task: Mapping[str, Any], rev: int, next_at: datetime, runs_planned: int
) -> None:
    """The cursor of an active task to where its revision begins."""
    await repository.put_cursor(connection, task["id"], rev, next_at, runs_planned)
    await waiting.carry_skips(connection, task, Plans(task["id"], rev, task["jitter_seconds"]))


async def stop(connection: AsyncConnection, task: Mapping[str, Any], reason: SkipReason, **values: object) -> None:
    """No cursor: one without a next time would say that the schedule is exhausted. `values` of further columns."""
    await repository.withdraw_work(connection, task, reason)
    await _record_missed(connection, task, reason)
    await repository.drop_cursor(connection, task["id"])
    await repository.update_task(connection, task["id"], {**values, "schedule_rev": task["schedule_rev"] + 1})


async def _record_missed(connection: AsyncConnection, task: Mapping[str, Any], reason: SkipReason) -> None:
    """What came due while no scheduler was there to make work of it will not run any more, and says why."""
    if task["cursor_at"] is None or task["cursor_at"] > task["now"]:
        return
    try:
        ahead = ahead_of(task, task["cursor_at"])
    except (ScheduleFault, ValueError):
        return  # made bad by hand: nobody can tell what was missed
    missed = takewhile(lambda occurrence: occurrence.scheduled_for <= task["now"], ahead)
    await waiting.record_missed(connection, task, list(islice(missed, MISSED_RECORDED)), reason)


async def planned_runs(connection: AsyncConnection, task_id: UUID, max_runs: int | None) -> int:
    """Counted only where there is something to count for."""
    return 0 if max_runs is None else await repository.count_planned_runs(connection, task_id)
