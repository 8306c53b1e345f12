"""PURE: what becomes of each nominal time of one schedule, seen from one instant."""

import math
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from shared.timing.exclusions import Exclusion
from shared.timing.occurrences import Plans
from shared.timing.schedule import Schedule
from shared.timing.timetable import Timetable
from shared.vocabulary.limits import MISFIRE_RUNS_MAX
from shared.vocabulary.states import MisfirePolicy, ScheduleKind, SkipReason

NO_ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)
EXCLUSIONS = msgspec.json.Decoder(tuple[Exclusion, ...])
# How late an occurrence may be materialised and still count as on time.
MISFIRE_GRACE = timedelta(seconds=10)
# Nominal times of one schedule in one round; the rest follow in the next.
TIMES_PER_ROUND = 500

RUNS_ALLOWED = {MisfirePolicy.LATEST: 1, MisfirePolicy.ALL: MISFIRE_RUNS_MAX, MisfirePolicy.SKIP: 0}
REASON_BEYOND_ALLOWED = {
    MisfirePolicy.LATEST: SkipReason.MISFIRE_COALESCED,
    MisfirePolicy.ALL: SkipReason.MISFIRE_OVER_CAP,
    MisfirePolicy.SKIP: SkipReason.MISFIRE_SKIPPED,
}


class Cursor(msgspec.Struct, frozen=True):
    """A locked cursor with what its task says about the schedule, in the columns of `lock_due_cursors`. `exclusions` is
    their JSON as text, so that equal schedules are equal values."""

    task_id: UUID
    schedule_rev: int
    next_at: datetime
    was_bad: bool
    runs_planned: int
    agent_id: UUID
    schedule_kind: ScheduleKind
    schedule_expr: str
    timezone: str
    anchor_at: datetime
    priority: int
    concurrency_key: str | None
    misfire_policy: MisfirePolicy
    misfire_window_seconds: int
    jitter_seconds: int
    starts_at: datetime | None
    ends_at: datetime | None
    exclusions: str
    max_runs: int | None

    @property
    def timetable(self) -> Timetable:
        """Equal for tasks that have the same occurrences: only a recurrence counts from its anchor."""
        return Timetable(
            schedule_kind=self.schedule_kind,
            schedule_expr=self.schedule_expr,
            timezone=self.timezone,
            anchor_at=self.anchor_at if self.schedule_kind is ScheduleKind.RRULE else NO_ANCHOR,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            exclusions=() if self.exclusions == "[]" else EXCLUSIONS.decode(self.exclusions),
        )


class Occurrence(msgspec.Struct, frozen=True):
    """One nominal time. `reason` says why it is recorded without being executed; None lets it run at `run_at`."""

    id: UUID
    scheduled_for: datetime
    run_at: datetime
    reason: SkipReason | None = None


class Plan(msgspec.Struct, frozen=True):
    """`next_at` is the first nominal time not planned here; None when the schedule yields no more."""

    occurrences: tuple[Occurrence, ...]
    next_at: datetime | None

    @property
    def due(self) -> list[Occurrence]:
        return [occurrence for occurrence in self.occurrences if occurrence.reason is None]

    @property
    def skipped(self) -> list[Occurrence]:
        return [occurrence for occurrence in self.occurrences if occurrence.reason is not None]


def plan(schedule: Schedule, cursor: Cursor, now: datetime, horizon: timedelta) -> Plan:
    """Plan every nominal time up to `now + horizon`, at most `TIMES_PER_ROUND` of them."""
    until = now + horizon
    times = _times_ahead(schedule, cursor, until)
    missed = sum(at < now - MISFIRE_GRACE for at in times)
    runs_left = math.inf if cursor.max_runs is None else cursor.max_runs - cursor.runs_planned
    planned: list[Occurrence] = []
    for index, at in enumerate(times):
        if runs_left <= 0:
            return Plan(tuple(planned), None)
        if at > until or index == TIMES_PER_ROUND:
            return Plan(tuple(planned), at)
        reason = _reason_to_skip(at, cursor, now, missed_later=missed - index - 1)
        following = times[index + 1] if index + 1 < len(times) else None
        planned.append(_occurrence(cursor, at, following, reason))
        runs_left -= reason is None
    return Plan(tuple(planned), None)


def _times_ahead(schedule: Schedule, cursor: Cursor, until: datetime) -> list[datetime]:
    """Nominal times from the cursor on, and the first one beyond `until`: that is where the cursor goes.

    The cursor's own time is asked of the schedule again: after a change of the zone's rules it may be none any more.
    A misfire policy looks up to `MISFIRE_RUNS_MAX` times further than this round plans.
    """
    times: list[datetime] = []
    at = schedule.next_after(cursor.next_at - timedelta(microseconds=1))
    while at is not None:
        times.append(at)
        if at > until or len(times) > TIMES_PER_ROUND + MISFIRE_RUNS_MAX:
            break
        at = schedule.next_after(at)
    return times


def _reason_to_skip(at: datetime, cursor: Cursor, now: datetime, missed_later: int) -> SkipReason | None:
    if at >= now - MISFIRE_GRACE:
        return None
    if at < now - timedelta(seconds=cursor.misfire_window_seconds):
        return SkipReason.MISFIRE_TOO_OLD
    if missed_later < RUNS_ALLOWED[cursor.misfire_policy]:
        return None
    return REASON_BEYOND_ALLOWED[cursor.misfire_policy]


def _occurrence(cursor: Cursor, at: datetime, following: datetime | None, reason: SkipReason | None) -> Occurrence:
    planned = Plans(cursor.task_id, cursor.schedule_rev, cursor.jitter_seconds).occurrence(at, following)
    return Occurrence(planned.id, at, planned.run_at, reason)
