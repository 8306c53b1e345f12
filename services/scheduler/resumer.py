"""Resumes tasks whose pause has an end, at their next time from then on: what was missed meanwhile stays missed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec
import structlog

from shared.database.pool import Connection
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.timing.timetable import compile_timetable, timetable_of
from shared.vocabulary.ids import AT_ITS_TIME, first_uuid7_at, occurrence_id
from shared.vocabulary.limits import POLL_SECONDS
from shared.vocabulary.states import ScheduleKind

logger = structlog.get_logger(__name__)

SQL = load_statements("services.scheduler", "sql/pauses.sql")
BATCH = 100


class Resumed(msgspec.Struct, frozen=True):
    tasks: int

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.tasks == BATCH else POLL_SECONDS


class Ended(msgspec.Struct, frozen=True):
    """A task whose pause has ended. `schedule_rev` is the new one. `next_at` None: nothing follows, or it waits for
    events."""

    task_id: UUID
    schedule_rev: int
    next_at: datetime | None
    runs_planned: int
    is_timed: bool


class Resumer(Part):
    name = "resumer"

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def run_once(self, now: datetime | None = None) -> Resumed:
        """One transaction: lock, compute, resume, with an audit entry each."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["lock_ended_pauses"].sql, BATCH, now)
            ended: list[Ended] = []
            for row in rows:
                try:
                    ended.append(_after_pause(row))
                except Exception as error:  # noqa: BLE001 (supervises one task, so that the others go on)
                    logger.warning("schedule_bad", task_id=str(row["id"]), error=repr(error))
                    await connection.execute(SQL["leave_paused"].sql, row["id"], str(error) or repr(error))
            if ended:
                await _resume(connection, ended)
                await _carry_skips(connection, ended, rows[0]["now"])
        for each in ended:
            logger.info("task_resumed", task_id=str(each.task_id))
        return Resumed(len(rows))


def _after_pause(row: asyncpg.Record) -> Ended:
    kind = ScheduleKind(row["schedule_kind"])
    if kind is ScheduleKind.EVENT:
        return Ended(row["id"], row["schedule_rev"] + 1, None, 0, is_timed=False)
    timetable = timetable_of(dict(row))
    planned: int = row["runs_planned"]
    is_used_up = row["max_runs"] is not None and planned >= row["max_runs"]
    next_at = None if is_used_up else compile_timetable(timetable).next_after(row["now"])
    return Ended(row["id"], row["schedule_rev"] + 1, next_at, planned, is_timed=True)


async def _resume(connection: Connection, ended: Sequence[Ended]) -> None:
    await connection.execute(
        SQL["resume_tasks"].sql,
        [each.task_id for each in ended],
        [each.next_at for each in ended],
        [each.runs_planned for each in ended],
        [each.is_timed for each in ended],
    )


async def _carry_skips(connection: Connection, ended: Sequence[Ended], now: datetime) -> None:
    """What was asked to be skipped stays skipped under the new revision."""
    revisions = {each.task_id: each.schedule_rev for each in ended}
    rows = await connection.fetch(SQL["list_skips_ahead"].sql, list(revisions), first_uuid7_at(now), now)
    renamed = [
        occurrence_id(row["task_id"], revisions[row["task_id"]], row["scheduled_for"], AT_ITS_TIME) for row in rows
    ]
    if renamed:
        await connection.execute(SQL["rename_runs"].sql, [row["id"] for row in rows], renamed)
