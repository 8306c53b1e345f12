"""A single instant: ISO 8601 with an offset, or local time in the task's zone."""

import re
import sys
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from shared.timing.fault import INVALID_DATETIME, ScheduleFault
from shared.timing.seconds import instant_of, seconds_of
from shared.timing.wall import instant_at

LONGEST = 64
WRITTEN = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?P<offset>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)
EXPECTED = (
    "ISO 8601 such as 2026-03-01T09:00:00Z, 2026-03-01T09:00:00+02:00 or, in the task's zone, 2026-03-01T09:00:00"
)


class OnceSchedule:
    def __init__(self, at: datetime) -> None:
        self.at = at
        # There is no second one.
        self.apart_seconds = sys.maxsize

    def next_after(self, instant: datetime) -> datetime | None:
        return self.at if self.at > instant else None


def compile_once(expr: str, zone: ZoneInfo) -> OnceSchedule:
    """Raises ScheduleFault `invalid_datetime`."""
    written = WRITTEN.fullmatch(expr.strip()) if len(expr) <= LONGEST else None
    if written is None:
        raise ScheduleFault(f"A once schedule is a date and a time in {EXPECTED}.", code=INVALID_DATETIME)
    try:
        moment = datetime.fromisoformat(written.group().upper())
        at = moment.astimezone(UTC) if moment.tzinfo else _local(moment, zone)
    except (ValueError, OverflowError) as error:
        message = f"The date or the time does not exist; expected is {EXPECTED}."
        raise ScheduleFault(message, code=INVALID_DATETIME) from error
    return OnceSchedule(at)


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    at = instant_of(instant_at(zone, seconds_of(moment)))
    if at is None:
        raise OverflowError
    return at.replace(microsecond=moment.microsecond)
