"""One field of a cron expression: numbers, names, ranges, steps and lists, read strictly."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import NamedTuple

import msgspec

from shared.timing.fault import ScheduleFault

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
          "november", "december")  # fmt: skip
WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
SHORTEST_NAME = 3

RANGE = re.compile(r"(?P<start>\*|[0-9A-Za-z]+)(?:-(?P<end>[0-9A-Za-z]+))?(?:/(?P<step>[0-9]+))?")


class Field(msgspec.Struct, frozen=True):
    """The kind of a field. Names stand for low, low + 1, …; a range may run over the end and on from the start."""

    name: str
    low: int
    high: int
    size: int
    names: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        named = f" or {self.names[0][:3].upper()}-{self.names[-1][:3].upper()}" if self.names else ""
        return f"{self.low}-{self.high}{named}"


SECOND = Field("second", 0, 59, 60)
MINUTE = Field("minute", 0, 59, 60)
HOUR = Field("hour", 0, 23, 24)
DAY_OF_MONTH = Field("day-of-month", 1, 31, 31)
MONTH = Field("month", 1, 12, 12, MONTHS)
DAY_OF_WEEK = Field("day-of-week", 0, 7, 7, WEEKDAYS)


class Part(NamedTuple):
    """A piece of the expression and where it stands."""

    text: str
    position: int


def listed(part: Part) -> Iterator[Part]:
    """The items of a comma-separated list."""
    position = part.position
    for item in part.text.split(","):
        yield Part(item, position)
        position += len(item) + 1


def plain_values(field: Field, part: Part) -> tuple[int, ...]:
    """The sorted values of a field that knows nothing but ranges."""
    return tuple(sorted({value for item in listed(part) for value in range_values(field, item)}))


def range_values(field: Field, item: Part) -> Iterator[int]:
    """`*`, `5`, `5-9`, `22-2`, each with or without `/step`; `5/10` runs to the end of the field."""
    found = RANGE.fullmatch(item.text)
    if found is None:
        raise _malformed(field, item)
    start, end, step = found["start"], found["end"], found["step"]
    if start == "*" and end is not None:
        raise _malformed(field, item)
    first = field.low if start == "*" else value_of(field, Part(start, item.position))
    last = first
    if end is not None:
        last = value_of(field, Part(end, item.position + found.start("end")))
    elif start == "*" or step is not None:
        last = field.low + field.size - 1
    return _stepped(field, first, last, step_of(field, item, step))


def value_of(field: Field, part: Part) -> int:
    """A number or a name, which may be cut short after three letters."""
    if part.text.isdecimal():
        number = int(part.text) if len(part.text) <= SHORTEST_NAME else field.high + 1
        if field.low <= number <= field.high:
            return number
        raise wrong(field, part, f"must be {field.expected}")
    word = part.text.casefold()
    for place, name in enumerate(field.names):
        if len(word) >= SHORTEST_NAME and name.startswith(word):
            return field.low + place
    near = get_close_matches(word, [name[:3] for name in field.names], n=1)
    raise wrong(field, part, f"must be {field.expected}", suggestion=near[0].upper() if near else None)


def step_of(field: Field, item: Part, step: str | None) -> int:
    if step is None:
        return 1
    if not int(step):
        raise wrong(field, item, "has a step of 0; a step is 1 or more, as in */5")
    return int(step)


def wrong(field: Field, part: Part, fact: str, *, suggestion: str | None = None) -> ScheduleFault:
    hint = f'; did you mean "{suggestion}"?' if suggestion else "."
    message = f"The {field.name} field, at character {part.position}, {fact}{hint}"
    return ScheduleFault(message, position=part.position, suggestion=suggestion)


def _stepped(field: Field, first: int, last: int, step: int) -> Iterator[int]:
    if last < first:
        last += field.size
    for value in range(first, last + 1, step):
        yield field.low + (value - field.low) % field.size


def _malformed(field: Field, item: Part) -> ScheduleFault:
    return wrong(field, item, f"is not a list of values {field.expected}, ranges a-b, steps */n or a-b/n, or *")
