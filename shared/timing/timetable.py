"""Everything that decides on a task's occurrences, and the schedule that follows from it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.timing.exclusions import MICROSECOND, Blackouts, Exclusion, compile_exclusions
from shared.timing.schedule import Schedule, compile_schedule
from shared.timing.zones import load_zone
from shared.vocabulary.states import ScheduleKind


class Timetable(msgspec.Struct, frozen=True):
    """`anchor_at` is the DTSTART of a recurrence that names none. `starts_at` and `ends_at` are included."""

    schedule_kind: ScheduleKind
    schedule_expr: str
    timezone: str
    anchor_at: datetime
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    exclusions: Sequence[Exclusion] = ()


def timetable_of(columns: Mapping[str, Any]) -> Timetable:
    """Of a task's columns, the exclusions as plain JSON values. Raises ValueError for what no task of ours has."""
    named = {name: columns[name] for name in Timetable.__struct_fields__}
    kind = ScheduleKind(columns["schedule_kind"])
    exclusions = msgspec.convert(columns["exclusions"], tuple[Exclusion, ...])
    return Timetable(**{**named, "schedule_kind": kind, "exclusions": exclusions})


class Bounded:
    """A schedule within its bounds and outside its blackouts."""

    def __init__(
        self, schedule: Schedule, starts_at: datetime | None, ends_at: datetime | None, blackouts: Blackouts
    ) -> None:
        self._schedule = schedule
        self._starts_at = starts_at
        self._ends_at = ends_at
        self._blackouts = blackouts
        self.apart_seconds = schedule.apart_seconds

    def next_after(self, instant: datetime) -> datetime | None:
        """At most one step per blackout: each is left by one jump."""
        after = instant if self._starts_at is None else max(instant, self._starts_at - MICROSECOND)
        while (at := self._schedule.next_after(after)) is not None:
            if self._ends_at is not None and at > self._ends_at:
                return None
            excluded_until = self._blackouts.end_of(at)
            if excluded_until is None:
                return at
            after = excluded_until - MICROSECOND
        return None


def compile_timetable(timetable: Timetable) -> Schedule:
    """Raises ScheduleFault."""
    schedule = compile_schedule(
        timetable.schedule_kind, timetable.schedule_expr, timetable.timezone, anchor=timetable.anchor_at
    )
    return bounded_by(timetable, schedule)


def bounded_by(timetable: Timetable, schedule: Schedule) -> Schedule:
    """The schedule itself where the timetable sets no bounds. Raises ScheduleFault."""
    if timetable.starts_at is None and timetable.ends_at is None and not timetable.exclusions:
        return schedule
    blackouts = compile_exclusions(timetable.exclusions, load_zone(timetable.timezone))
    return Bounded(schedule, timetable.starts_at, timetable.ends_at, blackouts)
