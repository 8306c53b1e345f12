"""The parts of one recurrence rule (RFC 5545, 3.3.10), read strictly."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import StrEnum

import msgspec

from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.timing.seconds import DAY

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
HIGHEST_COUNT = 10_000
LONGEST_INTERVAL_SECONDS = 100 * 366 * DAY


class Frequency(StrEnum):
    SECONDLY = "SECONDLY"
    MINUTELY = "MINUTELY"
    HOURLY = "HOURLY"
    DAILY = "DAILY"
    WEEKLY = "WEEKLY"
    MONTHLY = "MONTHLY"
    YEARLY = "YEARLY"


SECONDS = {
    Frequency.SECONDLY: 1,
    Frequency.MINUTELY: 60,
    Frequency.HOURLY: 3600,
    Frequency.DAILY: DAY,
    Frequency.WEEKLY: 7 * DAY,
    Frequency.MONTHLY: 30 * DAY,
    Frequency.YEARLY: 365 * DAY,
}
SUBDAILY = frozenset({Frequency.SECONDLY, Frequency.MINUTELY, Frequency.HOURLY})

# Highest number, and whether negative ones count from the end.
NUMBERED = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 60, False),
    "BYSETPOS": (1, 366, True),
}
KNOWN = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *NUMBERED)
# What the RFC's table calls N/A.
MEANINGLESS = {
    "BYWEEKNO": frozenset(Frequency) - {Frequency.YEARLY},
    "BYYEARDAY": frozenset({Frequency.DAILY, Frequency.WEEKLY, Frequency.MONTHLY}),
    "BYMONTHDAY": frozenset({Frequency.WEEKLY}),
}
WEEKDAY = re.compile(r"(?P<n>[+-]?[0-9]{1,2})?(?P<day>MO|TU|WE|TH|FR|SA|SU)")


class WeekdayPart(msgspec.Struct, frozen=True):
    """`TU` (place 0: every one) or `-1FR`. Monday = 0."""

    weekday: int
    place: int = 0


class Parts(msgspec.Struct, frozen=True):
    """A rule as written; empty where a part is not given. `until` is still text: its type depends on DTSTART."""

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: str | None = None
    week_start: int = 0
    by_month: frozenset[int] = frozenset()
    by_month_day: frozenset[int] = frozenset()
    by_year_day: frozenset[int] = frozenset()
    by_week_number: frozenset[int] = frozenset()
    by_day: tuple[WeekdayPart, ...] = ()
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_set_position: tuple[int, ...] = ()

    @property
    def has_dates(self) -> bool:
        return bool(self.by_month or self.by_month_day or self.by_year_day or self.by_week_number or self.by_day)

    @property
    def has_times(self) -> bool:
        return bool(self.by_hour or self.by_minute or self.by_second)


def parse_parts(text: str, position: int | None) -> Parts:
    """`text` in upper case, without the leading `RRULE:`. Raises ScheduleFault."""
    given = dict(_given(text, position))
    frequency = _frequency(given.get("FREQ", ""), position)
    numbers = {name: _numbers(name, given, position) for name in NUMBERED}
    parts = Parts(
        frequency=frequency,
        interval=_positive("INTERVAL", given.get("INTERVAL", "1"), position),
        count=_positive("COUNT", given["COUNT"], position) if "COUNT" in given else None,
        until=given.get("UNTIL"),
        week_start=_weekday(given.get("WKST", "MO"), position),
        by_month=frozenset(numbers["BYMONTH"]),
        by_month_day=frozenset(numbers["BYMONTHDAY"]),
        by_year_day=frozenset(numbers["BYYEARDAY"]),
        by_week_number=frozenset(numbers["BYWEEKNO"]),
        by_day=tuple(_weekdays(given["BYDAY"], position)) if "BYDAY" in given else (),
        by_hour=numbers["BYHOUR"],
        by_minute=numbers["BYMINUTE"],
        # RFC 5545, 3.3.12: without leap seconds, 60 means 59.
        by_second=tuple(sorted({min(second, 59) for second in numbers["BYSECOND"]})),
        by_set_position=numbers["BYSETPOS"],
    )
    _check(parts, given, position)
    return parts


def _given(text: str, position: int | None) -> Iterator[tuple[str, str]]:
    """The parts by name. A semicolon after the last one is tolerated, as calendars write it."""
    seen: set[str] = set()
    for piece in text.removesuffix(";").split(";"):
        name, equals, value = piece.partition("=")
        name = "BYDAY" if name == "BYWEEKDAY" else name
        if name not in KNOWN:
            near = get_close_matches(name, KNOWN, n=1)
            expected = ", ".join(KNOWN)
            raise _wrong(f"A rule consists of NAME=value parts with the names {expected}", position, *near)
        if not equals or not value:
            raise _wrong(f"{name} has no value", position)
        if name in seen:
            raise _wrong(f"{name} is given twice", position)
        seen.add(name)
        yield name, value


def _frequency(value: str, position: int | None) -> Frequency:
    if value in Frequency.__members__:
        return Frequency[value]
    near = get_close_matches(value, list(Frequency), n=1)
    raise _wrong(f"A rule needs FREQ, one of {', '.join(Frequency)}", position, *near)


def _positive(name: str, value: str, position: int | None) -> int:
    if re.fullmatch(r"0*[1-9][0-9]{0,9}", value):
        return int(value)
    raise _wrong(f"{name} is a whole number of 1 or more", position)


def _numbers(name: str, given: dict[str, str], position: int | None) -> tuple[int, ...]:
    if name not in given:
        return ()
    low, high, is_signed = NUMBERED[name]
    shape = r"[+-]?[0-9]{1,3}" if is_signed else r"[0-9]{1,2}"
    numbers = set()
    for text in given[name].split(","):
        number = int(text) if re.fullmatch(shape, text, re.ASCII) else None
        if number is None or not low <= (abs(number) if is_signed else number) <= high:
            counted = f", or -{high} to -{low} from the end" if is_signed else ""
            raise _wrong(f"{name} is a list of numbers {low} to {high}{counted}", position)
        numbers.add(number)
    return tuple(sorted(numbers))


def _weekday(value: str, position: int | None) -> int:
    if value not in WEEKDAYS:
        raise _wrong(f"WKST is one of {', '.join(WEEKDAYS)}", position)
    return WEEKDAYS.index(value)


def _weekdays(value: str, position: int | None) -> Iterator[WeekdayPart]:
    for text in value.split(","):
        found = WEEKDAY.fullmatch(text)
        place = int(found["n"] or 0) if found else 0
        if found is None or (found["n"] and not 1 <= abs(place) <= 53):
            near = (text[:2],) if text[:2] in WEEKDAYS else ()
            raise _wrong(f"BYDAY is a list of {', '.join(WEEKDAYS)}, with a place as in 1MO or -1FR", position, *near)
        yield WeekdayPart(WEEKDAYS.index(found["day"]), place)


def _check(parts: Parts, given: dict[str, str], position: int | None) -> None:
    frequency = parts.frequency
    if parts.count and parts.until:
        raise _wrong("A rule ends by COUNT or by UNTIL, not by both", position)
    for name, frequencies in MEANINGLESS.items():
        if name in given and frequency in frequencies:
            raise _wrong(f"{name} has no meaning with FREQ={frequency}", position)
    if any(day.place for day in parts.by_day):
        if frequency not in {Frequency.MONTHLY, Frequency.YEARLY}:
            raise _wrong("BYDAY has a place, as in 1MO, only with FREQ=MONTHLY or FREQ=YEARLY", position)
        if parts.by_week_number:
            raise _wrong("BYDAY has no place, as in 1MO, next to BYWEEKNO", position)
    if parts.by_set_position and not (parts.has_dates or parts.has_times):
        raise _wrong("BYSETPOS chooses among what another BY part yields, and there is none", position)
    if parts.interval * SECONDS[frequency] > LONGEST_INTERVAL_SECONDS:
        raise _wrong("INTERVAL spans more than 100 years", position, code=TOO_COMPLEX)


def _wrong(fact: str, position: int | None, suggestion: str | None = None, *, code: str | None = None) -> ScheduleFault:
    hint = f'; did you mean "{suggestion}"?' if suggestion else "."
    if code is None:
        return ScheduleFault(fact + hint, position=position, suggestion=suggestion)
    return ScheduleFault(fact + hint, code=code, position=position)
