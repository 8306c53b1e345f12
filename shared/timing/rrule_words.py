"""A recurrence in words."""

from collections.abc import Iterable, Iterator
from zoneinfo import ZoneInfo

from shared.timing.rrule_parts import SUBDAILY, Frequency, Parts, WeekdayPart
from shared.timing.rrule_text import Recurrence, Rule, parse_recurrence
from shared.timing.seconds import instant_of

UNITS = {
    Frequency.SECONDLY: "second",
    Frequency.MINUTELY: "minute",
    Frequency.HOURLY: "hour",
    Frequency.DAILY: "day",
    Frequency.WEEKLY: "week",
    Frequency.MONTHLY: "month",
    Frequency.YEARLY: "year",
}
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")  # fmt: skip
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
ORDINALS = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd", 31: "st"}
MOST_TIMES = 8


def describe_rrule(expr: str, zone: ZoneInfo) -> str:
    """Raises ScheduleFault."""
    recurrence = parse_recurrence(expr, zone)
    words = "; and ".join(_rule(rule) for rule in recurrence.rules)
    sentence = "".join([words, *_dates(recurrence)])
    return sentence[:1].upper() + sentence[1:]


def _dates(recurrence: Recurrence) -> Iterator[str]:
    if recurrence.dates:
        yield f"{', and ' if recurrence.rules else ''}on {len(recurrence.dates)} given dates"
    if recurrence.excluded:
        yield f", except on {len(recurrence.excluded)} given dates"
    begin = recurrence.start and instant_of(recurrence.start.instant)
    if begin and recurrence.rules:
        yield f", from {begin:%Y-%m-%d %H:%M} UTC on"


def _rule(rule: Rule) -> str:
    parts = rule.parts
    unit = UNITS[parts.frequency]
    every = f"every {unit}" if parts.interval == 1 else f"every {parts.interval} {unit}s"
    return " ".join([every, *_days(parts), *_times(parts), *_choice(parts)]) + "".join(_end(rule))


def _days(parts: Parts) -> Iterator[str]:
    if parts.by_month:
        yield f"in {_listed(MONTHS[month - 1] for month in sorted(parts.by_month))}"
    if parts.by_week_number:
        yield f"in the {_places(parts.by_week_number)} week of the year"
    if parts.by_year_day:
        yield f"on the {_places(parts.by_year_day)} day of the year"
    if parts.by_month_day:
        yield f"on the {_places(parts.by_month_day)} day of the month"
    if parts.by_day:
        scope = "month" if parts.frequency is Frequency.MONTHLY or parts.by_month else "year"
        has_place = any(day.place for day in parts.by_day)
        yield f"on {_listed(_weekday(day) for day in parts.by_day)}" + (f" of the {scope}" if has_place else "")


def _times(parts: Parts) -> Iterator[str]:
    if parts.frequency not in SUBDAILY and 0 < len(parts.by_hour) * len(parts.by_minute or (0,)) <= MOST_TIMES:
        minutes = parts.by_minute or (None,)
        shown = (
            f"{hour:02}:{'00' if minute is None else f'{minute:02}'}" for hour in parts.by_hour for minute in minutes
        )
        yield f"at {_listed(shown)}"
    else:
        if parts.by_hour:
            yield f"in hour {_listed(map(str, parts.by_hour))}"
        if parts.by_minute:
            yield f"at minute {_listed(map(str, parts.by_minute))}"
    if parts.by_second and parts.by_second != (0,):
        yield f"at second {_listed(map(str, parts.by_second))}"


def _choice(parts: Parts) -> Iterator[str]:
    if parts.by_set_position:
        yield f"(of these, the {_places(parts.by_set_position)} of each {UNITS[parts.frequency]})"


def _end(rule: Rule) -> Iterator[str]:
    until = None if rule.until is None else instant_of(rule.until)
    if until:
        yield f", until {until:%Y-%m-%d %H:%M} UTC"
    if rule.parts.count:
        yield ", once" if rule.parts.count == 1 else f", {rule.parts.count} times"


def _weekday(day: WeekdayPart) -> str:
    return f"the {_place(day.place)} {WEEKDAYS[day.weekday]}" if day.place else WEEKDAYS[day.weekday]


def _places(places: Iterable[int]) -> str:
    return _listed(_place(place) for place in sorted(places, key=lambda place: (place < 0, place)))


def _place(place: int) -> str:
    number = abs(place)
    counted = f"{number}{ORDINALS.get(number, 'th')}"
    if place > 0:
        return counted
    return "last" if number == 1 else f"{counted} last"


def _listed(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
