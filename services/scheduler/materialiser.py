"""Turns the schedules whose next time is near into due work, some hundreds in one transaction."""

import functools
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import structlog

from services.scheduler.bell import Ringer, due_at
from services.scheduler.planner import Cursor, Occurrence, Plan, plan
from services.scheduler.settings import SchedulerSettings
from shared.database.pool import Connection
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.streams.run_updates import RunChange
from shared.timing.schedule import Schedule
from shared.timing.timetable import Timetable, compile_timetable
from shared.vocabulary.limits import POLL_SECONDS
from shared.vocabulary.states import RunStatus

logger = structlog.get_logger(__name__)

SQL = load_statements("services.scheduler", "sql/cursors.sql")
# Each is up to 14 kB in some 25 objects, all of which a full garbage collection visits.
SCHEDULES_COMPILED = 1_000
ANSWERS_REMEMBERED = 4
# Bounds of one transaction: its locks and its statements must stay short, whatever the schedules cost.
OCCURRENCES_PER_ROUND = 5_000
PLANNING_SECONDS = 1.0
# A schedule that cannot be planned is tried again after this long, in case it was mended by hand.
BAD_SCHEDULE_PAUSE_SECONDS = 3600.0


class Materialised(msgspec.Struct, frozen=True):
    """What one round did: occurrences made due and skipped, schedules found bad."""

    due: int
    skipped: int
    bad: int
    is_backlog_left: bool

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.is_backlog_left else POLL_SECONDS


class Planned(msgspec.Struct, frozen=True):
    cursor: Cursor
    plan: Plan


class Bad(msgspec.Struct, frozen=True):
    task_id: UUID
    problem: str


class Materialiser(Part):
    """Any number of schedulers run one each: cursors locked by another are passed over."""

    name = "materialiser"

    def __init__(
        self,
        pool: asyncpg.Pool,
        ringer: Ringer,
        settings: SchedulerSettings,
        on_planned: Callable[[], None] = lambda: None,
        on_skipped: Callable[[Iterable[RunChange]], None] = lambda _skipped: None,
    ) -> None:
        self._pool = pool
        self._ringer = ringer
        self._on_planned = on_planned
        self._on_skipped = on_skipped
        self._horizon = timedelta(seconds=settings.horizon_seconds)
        self._batch = settings.materialise_batch
        self._compiled = functools.lru_cache(SCHEDULES_COMPILED)(_compile)

    async def run_once(self, now: datetime | None = None) -> Materialised:
        """One transaction: lock cursors, plan, write due work and skipped runs, move the cursors. Then set bells."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(SQL["lock_due_cursors"].sql, self._horizon.total_seconds(), self._batch, now)
            read_at = time.monotonic()
            if not rows:
                return Materialised(0, 0, 0, is_backlog_left=False)
            database_now: datetime = rows[0]["now"]
            good, bad = self._plan_all(rows, database_now)
            await _write(connection, good, bad)
        due = [occurrence for planned in good for occurrence in planned.plan.due]
        self._ringer.set(due_at(occurrence.run_at, database_now, read_at) for occurrence in due)
        self._on_planned()
        self._on_skipped(
            RunChange(occurrence.id, planned.cursor.agent_id, RunStatus.SKIPPED)
            for planned in good
            for occurrence in planned.plan.skipped
        )
        return Materialised(
            due=len(due),
            skipped=sum(len(planned.plan.skipped) for planned in good),
            bad=len(bad),
            is_backlog_left=self._is_backlog_left(len(rows), good, bad, database_now),
        )

    def _is_backlog_left(self, locked: int, good: Sequence[Planned], bad: Sequence[Bad], now: datetime) -> bool:
        if locked == self._batch or locked > len(good) + len(bad):
            return True
        until = now + self._horizon
        return any(planned.plan.next_at is not None and planned.plan.next_at <= until for planned in good)

    def _plan_all(self, rows: Sequence[asyncpg.Record], now: datetime) -> tuple[list[Planned], list[Bad]]:
        """As many as a transaction should hold; the cursors of the rest stay where they are."""
        good: list[Planned] = []
        bad: list[Bad] = []
        began_at = time.monotonic()
        occurrences = 0
        for row in rows:
            if occurrences >= OCCURRENCES_PER_ROUND or time.monotonic() - began_at > PLANNING_SECONDS:
                break
            try:
                cursor = _cursor(row)
                planned = plan(self._compiled(cursor.timetable), cursor, now, self._horizon)
            except Exception as error:  # noqa: BLE001 (supervises one schedule, so that the others go on)
                logger.warning("schedule_bad", task_id=str(row["task_id"]), error=repr(error))
                bad.append(Bad(row["task_id"], str(error) or repr(error)))
                continue
            good.append(Planned(cursor, planned))
            occurrences += len(planned.occurrences)
        return good, bad


class Remembering:
    """Many tasks have one schedule, stand at the same time, and ask the same of it."""

    def __init__(self, schedule: Schedule) -> None:
        self.apart_seconds = schedule.apart_seconds
        self.next_after = functools.lru_cache(ANSWERS_REMEMBERED)(schedule.next_after)


def _compile(timetable: Timetable) -> Schedule:
    return Remembering(compile_timetable(timetable))


def _cursor(row: asyncpg.Record) -> Cursor:
    return msgspec.convert(dict(row), Cursor)


async def _write(connection: Connection, good: Sequence[Planned], bad: Sequence[Bad]) -> None:
    due = [(planned.cursor, occurrence) for planned in good for occurrence in planned.plan.due]
    skipped = [(planned.cursor, occurrence) for planned in good for occurrence in planned.plan.skipped]
    if due:
        await _insert_due_work(connection, due)
    if skipped:
        await _record_skipped(connection, skipped)
    await connection.execute(
        SQL["move_cursors"].sql,
        [planned.cursor.task_id for planned in good],
        [planned.plan.next_at for planned in good],
        [len(planned.plan.due) for planned in good],
    )
    mended = [planned.cursor.task_id for planned in good if planned.cursor.was_bad]
    if mended:
        await connection.execute(SQL["clear_schedule_errors"].sql, mended)
    for each in bad:
        await connection.execute(SQL["mark_schedule_bad"].sql, each.task_id, each.problem, BAD_SCHEDULE_PAUSE_SECONDS)


async def _insert_due_work(connection: Connection, due: Sequence[tuple[Cursor, Occurrence]]) -> None:
    await connection.execute(
        SQL["insert_due_work"].sql,
        [occurrence.id for _, occurrence in due],
        [cursor.task_id for cursor, _ in due],
        [cursor.agent_id for cursor, _ in due],
        [cursor.schedule_rev for cursor, _ in due],
        [occurrence.scheduled_for for _, occurrence in due],
        [occurrence.run_at for _, occurrence in due],
        [cursor.priority for cursor, _ in due],
        [cursor.concurrency_key for cursor, _ in due],
    )


async def _record_skipped(connection: Connection, skipped: Sequence[tuple[Cursor, Occurrence]]) -> None:
    await connection.execute(
        SQL["record_skipped"].sql,
        [occurrence.id for _, occurrence in skipped],
        [cursor.task_id for cursor, _ in skipped],
        [cursor.agent_id for cursor, _ in skipped],
        [occurrence.scheduled_for for _, occurrence in skipped],
        [occurrence.reason for _, occurrence in skipped],
    )
