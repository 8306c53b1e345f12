"""A schedule seen before it is saved: its next occurrences, a sentence on it, and what its author should know."""

from datetime import datetime

from shared.timing.cautions import ScheduleWarning, warnings
from shared.timing.cron_words import describe_cron
from shared.timing.once import compile_once
from shared.timing.rrule_words import describe_rrule
from shared.timing.schedule import Schedule
from shared.timing.zones import load_zone
from shared.vocabulary.states import ScheduleKind

__all__ = ["ScheduleWarning", "describe", "upcoming", "warnings"]


def describe(kind: ScheduleKind, expr: str, timezone: str) -> str:
    """One sentence in English. Raises ScheduleFault."""
    zone = load_zone(timezone)
    match kind:
        case ScheduleKind.CRON:
            return f"{describe_cron(expr)} ({timezone})"
        case ScheduleKind.RRULE:
            return f"{describe_rrule(expr, zone)} ({timezone})"
        case ScheduleKind.ONCE:
            return f"Once, at {compile_once(expr, zone).at.astimezone(zone):%Y-%m-%d %H:%M:%S} ({timezone})"
        case ScheduleKind.EVENT:
            return "Whenever a matching event is published"


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """The next occurrences strictly after an instant, at most so many."""
    found: list[datetime] = []
    while len(found) < count and (at := schedule.next_after(found[-1] if found else after)) is not None:
        found.append(at)
    return found
