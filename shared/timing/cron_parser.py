"""From the text of a cron expression to its fields, or to a sentence on what is wrong with it."""

import re

import msgspec

from shared.timing.cron_days import LAST, Days, MonthDays, WeekDays
from shared.timing.cron_fields import (
    DAY_OF_MONTH,
    DAY_OF_WEEK,
    HOUR,
    MINUTE,
    MONTH,
    SECOND,
    Part,
    listed,
    plain_values,
    range_values,
    step_of,
    value_of,
    wrong,
)
from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.timing.times import Product
from shared.vocabulary.limits import EXPRESSION_CHARACTERS

FIVE, SIX = 5, 6
MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    # How the suites of Cronos write "always"; elsewhere a question mark stands in the day fields alone.
    "? ? ? ? ?": "* * * * *",
    "? ? ? ? ? ?": "* * * * * *",
}
ANY = ("*", "?")

BEFORE_LAST = re.compile(r"L(?:-(?P<n>[0-9]{1,2}))?", re.IGNORECASE)
TO_LAST = re.compile(r"(?P<start>[0-9]+)-L(?:/(?P<step>[0-9]+))?", re.IGNORECASE)
NEAREST = re.compile(r"(?:(?P<day>[0-9]{1,2})W|W(?P<late>[0-9]{1,2})|L(?:-(?P<n>[0-9]{1,2}))?W)", re.IGNORECASE)
NTH = re.compile(r"(?P<day>[0-9]|[A-Za-z]{3,})#(?P<place>[1-5])")
LAST_OF = re.compile(r"(?P<day>[0-9]|[A-Za-z]{3,}?)L", re.IGNORECASE)


class CronFields(msgspec.Struct, frozen=True):
    """What the expression says. Wildcard jobs follow real time over a clock change, the others the clock."""

    times: Product
    months: frozenset[int]
    days: Days
    has_seconds: bool
    is_wildcard: bool


def parse_cron(expr: str) -> CronFields:
    """Raises ScheduleFault."""
    if len(expr) > EXPRESSION_CHARACTERS:
        raise ScheduleFault(f"A cron expression has at most {EXPRESSION_CHARACTERS} characters.", code=TOO_COMPLEX)
    parts = _fields(MACROS.get(" ".join(expr.casefold().split()), expr))
    has_seconds = len(parts) == SIX
    second = parts.pop(0) if has_seconds else Part("0", 0)
    minute, hour, day_of_month, month, day_of_week = parts
    return CronFields(
        times=Product(plain_values(HOUR, hour), plain_values(MINUTE, minute), plain_values(SECOND, second)),
        months=frozenset(plain_values(MONTH, month)),
        days=_days(day_of_month, day_of_week),
        has_seconds=has_seconds,
        is_wildcard=hour.text.startswith("*") or minute.text.startswith("*"),
    )


def _fields(expr: str) -> list[Part]:
    parts = [Part(found.group(), found.start()) for found in re.finditer(r"\S+", expr)]
    if parts and parts[0].text.startswith("@"):
        raise _unknown_macro(parts)
    if len(parts) not in {FIVE, SIX}:
        raise _wrong_count(parts)
    return parts


def _unknown_macro(parts: list[Part]) -> ScheduleFault:
    every = re.fullmatch(r"([1-9]|[1-5][0-9])m", parts[1].text) if len(parts) > 1 else None
    suggestion = f"*/{every[1]} * * * *" if every and parts[0].text.casefold() == "@every" else None
    known = "@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually"
    hint = f'; did you mean "{suggestion}"?' if suggestion else ", or five fields such as 0 7 * * 1-5."
    return ScheduleFault(f"The shorthands are {known}{hint}", position=parts[0].position, suggestion=suggestion)


def _wrong_count(parts: list[Part]) -> ScheduleFault:
    # Quartz ends with a year, which says nothing when it is a star.
    is_quartz = len(parts) == SIX + 1 and parts[-1].text in ANY
    suggestion = " ".join(part.text for part in parts[:-1]) if is_quartz else None
    hint = f'; did you mean "{suggestion}"?' if suggestion else "."
    return ScheduleFault(
        "A cron expression has 5 fields (minute hour day-of-month month day-of-week), or 6 with a leading second,"
        f" and this one has {len(parts)}{hint}",
        position=parts[SIX].position if len(parts) > SIX else None,
        suggestion=suggestion,
    )


def _days(day_of_month: Part, day_of_week: Part) -> Days:
    if day_of_month.text == day_of_week.text == "?":
        raise wrong(DAY_OF_WEEK, day_of_week, "cannot be ? when day-of-month is ?", suggestion="*")
    of_month = _days_of_month(day_of_month)
    is_open = day_of_month.text.startswith(ANY) or day_of_week.text.startswith(ANY)
    # "The weekday nearest the 15th, a Monday": a W already speaks of weekdays, so the other field can only narrow it.
    is_either = not is_open and not of_month.is_nearest_weekday
    return Days(of_month, _days_of_week(day_of_week), is_either)


def _days_of_month(part: Part) -> MonthDays:
    if part.text == "?":
        part = Part("*", part.position)
    if nearest := NEAREST.fullmatch(part.text):
        return _nearest(part, nearest)
    plain: set[int] = set()
    to_last: list[tuple[int, int]] = []
    before_last: list[int] = []
    for item in listed(part):
        if found := BEFORE_LAST.fullmatch(item.text):
            before_last.append(_days_before_last(item, found["n"]))
        elif found := TO_LAST.fullmatch(item.text):
            start = value_of(DAY_OF_MONTH, Part(found["start"], item.position))
            to_last.append((start, step_of(DAY_OF_MONTH, item, found["step"])))
        elif NEAREST.fullmatch(item.text):
            raise wrong(DAY_OF_MONTH, item, "has a W inside a list; W stands for one day alone, as in 15W")
        else:
            plain.update(range_values(DAY_OF_MONTH, item))
    return MonthDays(frozenset(plain), tuple(to_last), tuple(before_last))


def _nearest(part: Part, found: re.Match[str]) -> MonthDays:
    day = found["day"] or found["late"]
    if day is None:
        return MonthDays(nearest_weekday_before_last=_days_before_last(part, found["n"]))
    return MonthDays(nearest_weekday=value_of(DAY_OF_MONTH, Part(day, part.position)))


def _days_before_last(part: Part, n: str | None) -> int:
    if int(n or 0) > DAY_OF_MONTH.high - 1:
        raise wrong(DAY_OF_MONTH, part, "must be L-0 to L-30")
    return int(n or 0)


def _days_of_week(part: Part) -> WeekDays:
    if part.text == "?":
        part = Part("*", part.position)
    plain: set[int] = set()
    nth: list[tuple[int, int]] = []
    for item in listed(part):
        if found := NTH.fullmatch(item.text) or LAST_OF.fullmatch(item.text):
            weekday = value_of(DAY_OF_WEEK, Part(found["day"], item.position)) % 7
            nth.append((weekday, int(found.groupdict().get("place") or LAST)))
        else:
            plain.update(value % 7 for value in range_values(DAY_OF_WEEK, item))
    return WeekDays(frozenset(plain), tuple(nth))
