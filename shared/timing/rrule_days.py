"""The days of a year that the date parts of a recurrence rule let through."""

from bisect import bisect_left
from calendar import isleap, monthrange
from collections.abc import Iterator
from datetime import date

from shared.timing.rrule_parts import Frequency, Parts

DAYS_OF_WEEK = 7


class DayFilter:
    """Every date part narrows (RFC 5545, 3.3.10, note 2), to the same days in all years of one shape."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_place_in_month = parts.frequency is Frequency.MONTHLY or bool(parts.by_month)
        self._by_shape: dict[tuple[int, bool, bool], tuple[int, ...]] = {}
        self._year: tuple[range, tuple[int, ...]] = range(0), ()

    def days_between(self, start: int, end: int) -> Iterator[int]:
        """The days start <= day < end."""
        while start < end:
            span, days = self._year
            if start not in span:
                span, days = self._year = self._of_year(date.fromordinal(start).year)
            for day in days[bisect_left(days, start - span.start) : bisect_left(days, end - span.start)]:
                yield span.start + day
            start = span.stop

    def _of_year(self, year: int) -> tuple[range, tuple[int, ...]]:
        return range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()), self.days_of(year)

    def days_of(self, year: int) -> tuple[int, ...]:
        """Days of the year, the first of January being 0."""
        # Its first week can belong to the year before, whose number of weeks its length decides.
        is_after_leap = bool(self._parts.by_week_number) and isleap(year - 1)
        shape = date(year, 1, 1).weekday(), isleap(year), is_after_leap
        if shape not in self._by_shape:
            self._by_shape[shape] = tuple(sorted(self._computed(year)))
        return self._by_shape[shape]

    def _computed(self, year: int) -> set[int]:
        """Intersected one part after the other, so that a day costs only the parts that are given."""
        parts = self._parts
        length = 366 if isleap(year) else 365
        months = tuple(_months(year))
        days = set(range(length))
        if parts.by_month:
            days &= {first + day for month, (first, size) in months if month in parts.by_month for day in range(size)}
        if parts.by_month_day:
            wanted = parts.by_month_day
            days &= {first + day for _, (first, size) in months for day in _placed(wanted, size)}
        if parts.by_year_day:
            days &= set(_placed(parts.by_year_day, length))
        if parts.by_day:
            scopes = [scope for _, scope in months] if self._is_place_in_month else [(0, length)]
            january = date(year, 1, 1).weekday()
            days &= {day for scope in scopes for day in self._weekdays(january, *scope)}
        if parts.by_week_number:
            january_first = date(year, 1, 1).toordinal()
            days = {day for day in days if self._is_in_week(january_first + day)}
        return days

    def _weekdays(self, january: int, first: int, size: int) -> Iterator[int]:
        for wanted in self._parts.by_day:
            all_of_them = range(first + (wanted.weekday - january - first) % DAYS_OF_WEEK, first + size, DAYS_OF_WEEK)
            if not wanted.place:
                yield from all_of_them
            elif abs(wanted.place) <= len(all_of_them):
                yield all_of_them[wanted.place - 1 if wanted.place > 0 else wanted.place]

    def _is_in_week(self, day: int) -> bool:
        number, weeks = week_number(day, self._parts.week_start)
        return number in self._parts.by_week_number or number - weeks - 1 in self._parts.by_week_number


def week_number(day: int, week_start: int) -> tuple[int, int]:
    """The number of a day's week and of the weeks in that week's year: week 1 is the first with four days in it."""
    middle = date.fromordinal(day - (day - 1 - week_start) % DAYS_OF_WEEK + 3)
    day_of_year = middle.timetuple().tm_yday
    length = 366 if isleap(middle.year) else 365
    number = (day_of_year - 1) // DAYS_OF_WEEK + 1
    return number, number + (length - day_of_year) // DAYS_OF_WEEK


def _months(year: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Each month with its first day in the year and its length."""
    first = 0
    for month in range(1, 13):
        size = monthrange(year, month)[1]
        yield month, (first, size)
        first += size


def _placed(wanted: frozenset[int], size: int) -> Iterator[int]:
    """Places counted from 1, or from -1 backwards, as counted from 0."""
    for place in wanted:
        if abs(place) <= size:
            yield place - 1 if place > 0 else size + place
