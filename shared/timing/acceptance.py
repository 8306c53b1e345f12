"""What a well-formed schedule must still be to be accepted: it fires at all, and not too often."""

from datetime import datetime, timedelta

from shared.timing.fault import IN_PAST, NEVER_FIRES, TOO_FREQUENT, ScheduleFault
from shared.timing.once import OnceSchedule
from shared.timing.schedule import Schedule

# A burst shows among the first occurrences or never: the shape of a day repeats.
OCCURRENCES_LOOKED_AT = 100
LOOKED_AHEAD = timedelta(days=366)


def check_schedule(schedule: Schedule, *, now: datetime, min_interval_seconds: int) -> datetime:
    """The first occurrence after now. Raises ScheduleFault."""
    first = schedule.next_after(now)
    if first is None:
        raise _never(schedule)
    if schedule.apart_seconds < min_interval_seconds:
        _check_intervals(schedule, first, min_interval_seconds)
    return first


def _check_intervals(schedule: Schedule, first: datetime, min_interval_seconds: int) -> None:
    shortest = timedelta(seconds=min_interval_seconds)
    latest = first
    for _ in range(OCCURRENCES_LOOKED_AT):
        following = schedule.next_after(latest)
        if following is None or following - first > LOOKED_AHEAD:
            break
        if following - latest < shortest:
            raise _too_frequent(following - latest, min_interval_seconds)
        latest = following


def _never(schedule: Schedule) -> ScheduleFault:
    if isinstance(schedule, OnceSchedule):
        message = f"The time has passed; it was {schedule.at.isoformat()}. Give one that lies in the future."
        return ScheduleFault(message, code=IN_PAST)
    message = (
        "The schedule has no occurrence from now on: either its dates do not exist, such as 30 February, or its end,"
        " UNTIL or COUNT, lies in the past. Change the date or the end."
    )
    return ScheduleFault(message, code=NEVER_FIRES)


def _too_frequent(interval: timedelta, min_interval_seconds: int) -> ScheduleFault:
    found = f"{interval.total_seconds():g}"
    message = f"Two occurrences lie {found} s apart; {min_interval_seconds} s or more must lie between them."
    return ScheduleFault(message, code=TOO_FREQUENT)
