"""Times of one day, as sets that answer "which is the first in this span?" without being written out."""

from bisect import bisect_left
from collections.abc import Iterable
from typing import Protocol

import msgspec

from shared.timing.seconds import DAY


class Times(Protocol):
    """A set of seconds of the day, each in 0 <= second < 86400."""

    def first(self, start: int, end: int) -> int | None:
        """The first one with start <= second < end."""
        ...

    def before(self, end: int) -> int:
        """How many lie before a second of the day."""
        ...

    def size(self) -> int: ...


class Listed(msgspec.Struct, frozen=True):
    """Times written out, in order."""

    seconds: tuple[int, ...]

    def first(self, start: int, end: int) -> int | None:
        found = _ceiling(self.seconds, start)
        return found if found is not None and found < end else None

    def before(self, end: int) -> int:
        return bisect_left(self.seconds, end)

    def size(self) -> int:
        return len(self.seconds)


class Product(msgspec.Struct, frozen=True):
    """Every given second of every given minute of every given hour; all three sorted, none empty."""

    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    seconds: tuple[int, ...]

    def first(self, start: int, end: int) -> int | None:
        minute, second = divmod(start, 60)
        found = self._at_or_after(minute // 60, minute % 60, second)
        return found if found is not None and found < end else None

    def before(self, end: int) -> int:
        hour, rest = divmod(end, 3600)
        minute, second = divmod(rest, 60)
        full_minutes = bisect_left(self.hours, hour) * len(self.minutes)
        full_minutes += bisect_left(self.minutes, minute) if hour in self.hours else 0
        is_on_minute = hour in self.hours and minute in self.minutes
        return full_minutes * len(self.seconds) + (bisect_left(self.seconds, second) if is_on_minute else 0)

    def size(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def picked(self, indexes: Iterable[int]) -> Listed:
        """The times at these places of the whole set; indexes sorted."""
        return Listed(tuple(self._at(index) for index in indexes))

    def _at(self, index: int) -> int:
        rest, second = divmod(index, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return self.hours[hour] * 3600 + self.minutes[minute] * 60 + self.seconds[second]

    def _at_or_after(self, hour: int, minute: int, second: int) -> int | None:
        """An odometer: the wheel that cannot go on from where it stands resets and moves the one before it."""
        if hour in self.hours:
            if minute in self.minutes and (on := _ceiling(self.seconds, second)) is not None:
                return hour * 3600 + minute * 60 + on
            if (later := _ceiling(self.minutes, minute + 1)) is not None:
                return hour * 3600 + later * 60 + self.seconds[0]
        next_hour = _ceiling(self.hours, hour + 1)
        return None if next_hour is None else next_hour * 3600 + self.minutes[0] * 60 + self.seconds[0]


def nth(times: Times, index: int) -> int:
    """The second of the day with so many before it."""
    return bisect_left(range(DAY), index + 1, key=lambda second: times.before(second + 1))


def places(positions: Iterable[int], size: int) -> list[int]:
    """Positions counted from 1, or from -1 backwards, as sorted places in a set of that size."""
    counted = (position - 1 if position > 0 else size + position for position in positions)
    return sorted({place for place in counted if 0 <= place < size})


def _ceiling(ordered: tuple[int, ...], least: int) -> int | None:
    place = bisect_left(ordered, least)
    return ordered[place] if place < len(ordered) else None
