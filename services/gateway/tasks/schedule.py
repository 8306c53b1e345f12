"""PURE: when a task fires first, and when it fires next."""

from datetime import datetime, timedelta

import msgspec

from shared.timing.acceptance import check_schedule
from shared.timing.fault import INVALID_SCHEDULE, NEVER_FIRES, ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.states import ScheduleKind

JUST_BEFORE = timedelta(microseconds=1)


class Timetable(msgspec.Struct, frozen=True):
    """Everything that decides on a task's occurrences. A change of it makes the schedule a new one."""

    schedule_kind: ScheduleKind
    schedule_expr: str
    timezone: str
    anchor_at: datetime
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    jitter_seconds: int


def compile_timetable(timetable: Timetable) -> Schedule:
    """Raises ScheduleFault."""
    if timetable.schedule_kind is ScheduleKind.EVENT:
        message = "Event schedules are not served yet; schedule_kind is cron, rrule or once."
        raise ScheduleFault(message, code=INVALID_SCHEDULE, field="schedule_kind")
    return compile_schedule(
        timetable.schedule_kind, timetable.schedule_expr, timetable.timezone, anchor=timetable.anchor_at
    )


def accept(timetable: Timetable, now: datetime, min_interval_seconds: int) -> datetime:
    """The first occurrence after now. Raises Invalid for what never fires, fires too often, or makes no sense."""
    starts_at, ends_at = timetable.starts_at, timetable.ends_at
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise invalid_field("ends_at", "The end must lie after the start.", "out_of_range")
    schedule = compile_timetable(timetable)
    check_schedule(schedule, now=now, min_interval_seconds=min_interval_seconds)
    first = next_occurrence(timetable, schedule, now)
    if first is None:
        message = "No occurrence lies between starts_at and ends_at. Widen them or change the schedule."
        raise ScheduleFault(message, code=NEVER_FIRES)
    return first


def next_occurrence(timetable: Timetable, schedule: Schedule, now: datetime, runs_planned: int = 0) -> datetime | None:
    """The first occurrence strictly after now, within the bounds of the task; None when nothing follows."""
    if timetable.max_runs is not None and runs_planned >= timetable.max_runs:
        return None
    after = now if timetable.starts_at is None else max(now, timetable.starts_at - JUST_BEFORE)
    following = schedule.next_after(after)
    if following is None or (timetable.ends_at is not None and following > timetable.ends_at):
        return None
    return following
