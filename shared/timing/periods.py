"""The days that a recurrence rule visits: every n-th year, month, week or day, and in it the days let through."""

from collections.abc import Iterator
from datetime import MAXYEAR, date
from itertools import groupby

from shared.timing.rrule_days import DAYS_OF_WEEK, DayFilter
from shared.timing.rrule_parts import SECONDS, SUBDAILY, Frequency, Parts
from shared.timing.seconds import DAY
from shared.timing.times import Product, Times, places

# Weeks reach over the ends of a year, and so over the ends of the calendar.
EARLIEST_YEAR, LATEST_YEAR = 2, MAXYEAR - 1
EARLIEST_DAY, LATEST_DAY = date(EARLIEST_YEAR, 1, 1).toordinal(), date(LATEST_YEAR, 12, 31).toordinal()
DAYS_OF_YEAR = 365


class Periods:
    def __init__(self, parts: Parts, start_day: int) -> None:
        self._parts = parts
        self._start_day = start_day
        self._every = 1 if parts.frequency in SUBDAILY else parts.interval
        self._filter = DayFilter(parts)
        # One search after the other, as excluded dates need them, mostly stays in the same period.
        self._chosen: tuple[int, list[tuple[int, Times]]] = (0, [])

    def days_from(self, first: int, years: int) -> Iterator[int]:
        """The days >= first, as far as so many years reach and one interval more."""
        is_nth_day = self._parts.frequency is Frequency.DAILY and self._every > 1
        for start, end in self._spans(first, years):
            for day in self._filter.days_between(max(first, start), end):
                if not is_nth_day or (day - self._start_day) % self._every == 0:
                    yield day

    def chosen_from(
        self, first: int, years: int, times: Product, positions: tuple[int, ...]
    ) -> Iterator[tuple[int, Times]]:
        """BYSETPOS: of all the times of a year, month or week those at the given positions."""
        for start, end in self._spans(first, years):
            known_start, chosen = self._chosen
            if start != known_start:
                chosen = list(self._chosen_in(start, end, times, positions))
                self._chosen = start, chosen
            yield from ((day, times_of_day) for day, times_of_day in chosen if day >= first)

    def _chosen_in(
        self, start: int, end: int, times: Product, positions: tuple[int, ...]
    ) -> Iterator[tuple[int, Times]]:
        days = list(self._filter.days_between(start, end))
        indexes = places(positions, len(days) * times.size())
        for number, of_day in groupby(indexes, key=lambda index: index // times.size()):
            yield days[number], times.picked(index % times.size() for index in of_day)

    def _spans(self, first: int, years: int) -> Iterator[tuple[int, int]]:
        """First and following day of the periods visited, from the one with the day `first` in it."""
        years += self._parts.interval * SECONDS[self._parts.frequency] // (DAYS_OF_YEAR * DAY)
        is_whole = self._every == 1 and not self._parts.by_set_position
        match self._parts.frequency:
            case Frequency.WEEKLY if not is_whole:
                return self._weeks(first, years)
            case Frequency.MONTHLY if not is_whole:
                return self._months(first, years)
            case Frequency.YEARLY:
                return self._years(first, years * self._every, self._every)
            case _:
                return self._years(first, years, 1)

    def _years(self, first: int, years: int, every: int) -> Iterator[tuple[int, int]]:
        earliest = _date(first).year
        earliest += (_date(self._start_day).year - earliest) % every
        for year in range(earliest, min(earliest + years, LATEST_YEAR + 1), every):
            yield date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal()

    def _months(self, first: int, years: int) -> Iterator[tuple[int, int]]:
        earliest = _month_number(_date(first))
        earliest += (_month_number(_date(self._start_day)) - earliest) % self._every
        for number in range(earliest, min(earliest + years * 12, (LATEST_YEAR + 1) * 12), self._every):
            yield _month_start(number), _month_start(number + 1)

    def _weeks(self, first: int, years: int) -> Iterator[tuple[int, int]]:
        step = self._every * DAYS_OF_WEEK
        home = self._start_day - (self._start_day - 1 - self._parts.week_start) % DAYS_OF_WEEK
        earliest = _date(first).toordinal() - DAYS_OF_WEEK + 1
        earliest += (home - earliest) % step
        latest = min(earliest + years * DAYS_OF_YEAR, LATEST_DAY - DAYS_OF_WEEK)
        for start in range(earliest, latest, step):
            yield start, start + DAYS_OF_WEEK


def _date(day: int) -> date:
    """The date of a day, or the nearest one that the search goes to."""
    return date.fromordinal(min(max(day, EARLIEST_DAY), LATEST_DAY))


def _month_number(of: date) -> int:
    return of.year * 12 + of.month - 1


def _month_start(number: int) -> int:
    return date(number // 12, number % 12 + 1, 1).toordinal()
