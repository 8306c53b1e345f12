"""Cron schedules: the next time at which a clock on the wall shows what the expression says."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, date, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from shared.timing.cron_parser import CronFields, parse_cron
from shared.timing.search import first_day, first_instant
from shared.timing.seconds import DAY, LAST_DAY, MINUTE, instant_of, seconds_of
from shared.timing.times import Product, Times
from shared.timing.wall import Stretch, as_they_come, caught_up

# The rarest day that exists, a 29 February on a given weekday, comes back after 40 years where 2100 lies between.
HORIZON_MONTHS = 50 * 12


class CronSchedule:
    def __init__(self, fields: CronFields, zone: ZoneInfo) -> None:
        self.fields = fields
        self.zone = zone
        # Clocks change by whole minutes, and what a gap took is made up for on a whole minute.
        self.apart_seconds = 1 if fields.has_seconds else MINUTE
        self._by_shape: dict[tuple[int, int], tuple[int, ...]] = {}

    def next_after(self, instant: datetime) -> datetime | None:
        after = seconds_of(instant)
        days = self._days_from(first_day(self.zone, after))
        found = first_instant(days, self.zone, self._clocks, after)
        return None if found is None else instant_of(found)

    def times_on(self, day: int) -> Iterator[Times]:
        """The times that a local day has on the clock, whatever a change of the clocks makes of them."""
        return (times for found, times in islice(self._days_from(day), 1) if found == day)

    def _clocks(self, zone: ZoneInfo, day: int) -> tuple[Stretch, ...]:
        if self.fields.is_wildcard:
            return as_they_come(zone, day)
        stretches = caught_up(zone, day)
        if self.fields.has_seconds and self._has_time_shown(stretches, day):
            return tuple(stretch for stretch in stretches if stretch.pinned is None)
        return stretches

    def _has_time_shown(self, stretches: tuple[Stretch, ...], day: int) -> bool:
        """Six fields mean real time: what a gap took is made up for only where the day would be left without any."""
        first = self.fields.times.first
        return any(first(s.start - day * DAY, s.end - day * DAY) is not None for s in stretches if s.pinned is None)

    def _days_from(self, first: int) -> Iterator[tuple[int, Product]]:
        for year, month in _months_from(first):
            if month not in self.fields.months:
                continue
            before = date(year, month, 1).toordinal() - 1
            for day in self._matching(monthrange(year, month)[1], (before + 1) % 7):
                if before + day >= first:
                    yield before + day, self.fields.times

    def _matching(self, length: int, first_weekday: int) -> tuple[int, ...]:
        shape = length, first_weekday
        if shape not in self._by_shape:
            self._by_shape[shape] = tuple(self.fields.days.matching(length, first_weekday))
        return self._by_shape[shape]


# The same few expressions stand in most tasks, and to read one takes longer than to find what follows.
@lru_cache(maxsize=1024)
def compile_cron(expr: str, zone: ZoneInfo) -> CronSchedule:
    """Raises ScheduleFault."""
    return CronSchedule(parse_cron(expr), zone)


def _months_from(day: int) -> Iterator[tuple[int, int]]:
    if day > LAST_DAY:
        return
    start = date.fromordinal(max(day, 1))
    for months in range(start.month - 1, start.month + HORIZON_MONTHS):
        year = start.year + months // 12
        if year > MAXYEAR:
            return
        yield year, months % 12 + 1
