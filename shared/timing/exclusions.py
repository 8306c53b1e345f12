"""Blackouts: days and ranges in which a schedule has no occurrences."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.timing.fault import INVALID_DATETIME, ScheduleFault
from shared.timing.once import compile_once

MICROSECOND = timedelta(microseconds=1)
DAY = timedelta(days=1)
DATE_LENGTH = len("2026-12-25")


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"start": "from"}):
    """Two dates, both included, or two instants, the second one no longer; local ones are of the schedule's zone."""

    start: str
    until: str


Exclusion = str | Range


class Blackouts(msgspec.Struct, frozen=True):
    """Ranges in UTC, in order, apart from one another: `starts[n] <= excluded < ends[n]`."""

    starts: tuple[datetime, ...] = ()
    ends: tuple[datetime, ...] = ()

    def end_of(self, instant: datetime) -> datetime | None:
        """Where the range ends in which an instant lies; None for an instant that is free."""
        place = bisect_right(self.starts, instant) - 1
        return self.ends[place] if place >= 0 and instant < self.ends[place] else None


def compile_exclusions(exclusions: Sequence[Exclusion], zone: ZoneInfo) -> Blackouts:
    """Raises ScheduleFault `invalid_datetime` with the path of the exclusion that is wrong."""
    ranges = [_range_of(exclusion, zone, f"exclusions[{index}]") for index, exclusion in enumerate(exclusions)]
    merged = _merged(sorted(ranges))
    return Blackouts(tuple(start for start, _ in merged), tuple(end for _, end in merged))


def _range_of(exclusion: Exclusion, zone: ZoneInfo, field: str) -> tuple[datetime, datetime]:
    if isinstance(exclusion, str):
        exclusion = Range(exclusion, exclusion)
        if len(exclusion.start) != DATE_LENGTH:
            message = 'An exclusion is a date such as 2026-12-25, or {"from": …, "until": …} with dates or instants.'
            raise ScheduleFault(message, code=INVALID_DATETIME, field=field)
    start = _instant(exclusion.start, zone, f"{field}.from", days_later=0)
    end = _instant(exclusion.until, zone, f"{field}.until", days_later=1)
    if end <= start:
        raise ScheduleFault("The end must lie after the start.", code=INVALID_DATETIME, field=f"{field}.until")
    return start, end


def _instant(text: str, zone: ZoneInfo, field: str, days_later: int) -> datetime:
    try:
        if len(text) == DATE_LENGTH:
            day = date.fromisoformat(text) + days_later * DAY
            return datetime.combine(day, time.min, zone).astimezone(UTC)
        return compile_once(text, zone).at
    except ScheduleFault as fault:
        raise ScheduleFault(fault.detail, code=INVALID_DATETIME, field=field) from fault
    except (ValueError, OverflowError) as error:
        message = "This date does not exist; expected is one such as 2026-12-25."
        raise ScheduleFault(message, code=INVALID_DATETIME, field=field) from error


def _merged(ranges: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
