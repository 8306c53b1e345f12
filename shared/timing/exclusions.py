"""Blackouts: days and ranges in which a schedule has no occurrences."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.timing.fault import INVALID_DATETIME, ScheduleFault
from shared.timing.once import compile_once
from shared.timing.seconds import instant_of
from shared.timing.wall import as_they_come

MICROSECOND = timedelta(microseconds=1)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Python also reads weeks, 2026-W01-1, which are as long.
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
EXPECTED = (
    'An exclusion is a date such as 2026-12-25, or {"from": …, "until": …} with dates or with instants such as '
    "2026-12-25T08:00:00Z."
)


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
        day = _day_of(exclusion, field)
        return _start_of(day, zone), _start_of(day + 1, zone)
    start = _edge(exclusion.start, zone, f"{field}.from", days_later=0)
    end = _edge(exclusion.until, zone, f"{field}.until", days_later=1)
    if _is_backwards(exclusion, start, end):
        raise _wrong("The end must lie after the start.", f"{field}.until")
    return start, end


def _is_backwards(given: Range, start: datetime, end: datetime) -> bool:
    """A day that the zone has left out is empty, but not backwards."""
    if DATE.fullmatch(given.start) and DATE.fullmatch(given.until):
        return given.until < given.start
    return end <= start


def _edge(text: str, zone: ZoneInfo, field: str, days_later: int) -> datetime:
    if DATE.fullmatch(text):
        return _start_of(_day_of(text, field) + days_later, zone)
    try:
        return compile_once(text, zone).at
    except ScheduleFault as fault:
        raise _wrong(f"This is no date and no instant. {EXPECTED}", field) from fault


def _day_of(text: str, field: str) -> int:
    if not DATE.fullmatch(text):
        raise _wrong(EXPECTED, field)
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError as error:
        raise _wrong("This date does not exist; expected is one such as 2026-12-25.", field) from error


def _start_of(day: int, zone: ZoneInfo) -> datetime:
    """The first instant that shows a local day or, where the zone has left it out, the next one. The ends of the
    calendar stand for what lies beyond them."""
    first, *_ = as_they_come(zone, day) or as_they_come(zone, day + 1)
    return instant_of(first.start - first.offset) or (FIRST if day == 1 else LAST)


def _wrong(message: str, field: str) -> ScheduleFault:
    return ScheduleFault(message, code=INVALID_DATETIME, field=field)


def _merged(ranges: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    merged: list[tuple[datetime, datetime]] = []
    for start, end in ranges:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
