"""The one door to schedules: text in, `next_after` out."""

from datetime import datetime
from typing import Protocol

from shared.timing.cron import compile_cron
from shared.timing.fault import ScheduleFault
from shared.timing.once import compile_once
from shared.timing.rrule import compile_rrule
from shared.timing.zones import load_zone
from shared.vocabulary.states import ScheduleKind


class Schedule(Protocol):
    @property
    def apart_seconds(self) -> int:
        """No two occurrences are closer than this; 1 where only a look at them could tell more."""
        ...

    def next_after(self, instant: datetime) -> datetime | None:
        """The first occurrence strictly after an aware instant, in UTC; None when nothing follows."""
        ...


def compile_schedule(kind: ScheduleKind, expr: str, timezone: str, *, anchor: datetime) -> Schedule:
    """`anchor` is the task's creation time: the DTSTART of an rrule that names none. Raises ScheduleFault."""
    zone = load_zone(timezone)
    match kind:
        case ScheduleKind.CRON:
            return compile_cron(expr, zone)
        case ScheduleKind.RRULE:
            return compile_rrule(expr, zone, anchor)
        case ScheduleKind.ONCE:
            return compile_once(expr, zone)
        case ScheduleKind.EVENT:
            raise ScheduleFault("An event schedule follows no clock: it has no occurrences to compute.")
