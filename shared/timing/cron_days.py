"""The days of a month that a cron expression means: a function of nothing but the month's length and first weekday."""

from collections.abc import Iterator

import msgspec

SUNDAY, SATURDAY = 0, 6
LAST = -1


class MonthDays(msgspec.Struct, frozen=True):
    """The day-of-month field: `to_last` are ranges (start, step) to the month's end, `before_last` the n of L-n."""

    plain: frozenset[int] = frozenset()
    to_last: tuple[tuple[int, int], ...] = ()
    before_last: tuple[int, ...] = ()
    nearest_weekday: int | None = None
    nearest_weekday_before_last: int | None = None

    def matching(self, length: int, first_weekday: int) -> set[int]:
        days = {day for day in self.plain if day <= length}
        for start, step in self.to_last:
            days.update(range(start, length + 1, step))
        days.update(length - n for n in self.before_last if n < length)
        wanted = self.nearest_weekday
        if self.nearest_weekday_before_last is not None:
            wanted = length - self.nearest_weekday_before_last
        if wanted is not None and 1 <= wanted <= length:
            days.add(_nearest_weekday(wanted, length, first_weekday))
        return days

    @property
    def is_nearest_weekday(self) -> bool:
        return self.nearest_weekday is not None or self.nearest_weekday_before_last is not None


class WeekDays(msgspec.Struct, frozen=True):
    """The day-of-week field, Sunday = 0. `nth` are pairs of weekday and place in the month, LAST for the last one."""

    plain: frozenset[int] = frozenset()
    nth: tuple[tuple[int, int], ...] = ()

    def matching(self, length: int, first_weekday: int) -> set[int]:
        days = {day for day in range(1, length + 1) if (first_weekday + day - 1) % 7 in self.plain}
        for weekday, place in self.nth:
            of_month = range(1 + (weekday - first_weekday) % 7, length + 1, 7)
            if place == LAST:
                days.add(of_month[-1])
            elif place <= len(of_month):
                days.add(of_month[place - 1])
        return days


class Days(msgspec.Struct, frozen=True):
    """Both day fields. Vixie cron takes either when both are restricted, and both when one begins with a star."""

    of_month: MonthDays
    of_week: WeekDays
    is_either: bool

    def matching(self, length: int, first_weekday: int) -> Iterator[int]:
        by_month = self.of_month.matching(length, first_weekday)
        by_week = self.of_week.matching(length, first_weekday)
        yield from sorted(by_month | by_week if self.is_either else by_month & by_week)


def _nearest_weekday(day: int, length: int, first_weekday: int) -> int:
    """Monday to Friday, without leaving the month."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < length else day - 2
    return day
