"""PURE: what a schedule must be to be accepted, and when it fires first."""

from datetime import datetime

from shared.tasks.event_schedule import check_event_schedule
from shared.timing.acceptance import check_schedule
from shared.timing.exclusions import compile_exclusions
from shared.timing.fault import NEVER_FIRES, ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.timing.timetable import Timetable, bounded_by, compile_timetable
from shared.timing.zones import load_zone
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.states import ScheduleKind


def accept(timetable: Timetable, now: datetime, min_interval_seconds: int) -> datetime | None:
    """The first occurrence after now; None for a schedule that waits for events. Raises Invalid for what never fires,
    fires too often, or makes no sense."""
    starts_at, ends_at = timetable.starts_at, timetable.ends_at
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise invalid_field("ends_at", "The end must lie after the start.", "out_of_range")
    zone = load_zone(timetable.timezone)
    if timetable.schedule_kind is ScheduleKind.EVENT:
        check_event_schedule(timetable.schedule_expr)
        compile_exclusions(timetable.exclusions, zone)
        return None
    unbounded = _unbounded(timetable)
    first: datetime | None = check_schedule(unbounded, now=now, min_interval_seconds=min_interval_seconds)
    bounded = bounded_by(timetable, unbounded)
    if bounded is unbounded:
        return first
    first = bounded.next_after(now)
    if first is None:
        message = "No occurrence lies between starts_at and ends_at and outside the exclusions. Widen them."
        raise ScheduleFault(message, code=NEVER_FIRES)
    return first


def next_time(timetable: Timetable, now: datetime, runs_planned: int, max_runs: int | None) -> datetime | None:
    """The first occurrence after now; None when nothing follows."""
    if max_runs is not None and runs_planned >= max_runs:
        return None
    return compile_timetable(timetable).next_after(now)


def _unbounded(timetable: Timetable) -> Schedule:
    return compile_schedule(
        timetable.schedule_kind, timetable.schedule_expr, timetable.timezone, anchor=timetable.anchor_at
    )
