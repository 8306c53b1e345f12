"""One recurrence rule at work: its days, the times on each of them, its first occurrence after an instant."""

from collections.abc import Iterator
from itertools import islice
from zoneinfo import ZoneInfo

from shared.timing.agenda import agenda_of
from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.timing.rrule_parts import Parts
from shared.timing.search import first_day, first_instant
from shared.timing.seconds import DAY, MINUTE
from shared.timing.times import Times, nth
from shared.timing.wall import instant_at, moved_forward

HORIZON_YEARS = 50
COUNTED_YEARS = 100


class ElapsedRule:
    """HOURLY, MINUTELY or SECONDLY without BY parts: so many seconds after one another, whatever the clocks do."""

    def __init__(self, begin: int, step_seconds: int, until: int | None) -> None:
        self._begin = begin
        self._step_seconds = step_seconds
        self.apart_seconds = step_seconds
        self._until = until

    def next_after(self, after: int) -> int | None:
        steps = max(0, (after - self._begin) // self._step_seconds + 1)
        found = self._begin + steps * self._step_seconds
        return None if self._until is not None and found > self._until else found


class WallRule:
    """All others follow the clocks on the wall."""

    def __init__(self, parts: Parts, start: int, zone: ZoneInfo, until: int | None) -> None:
        self._start = start
        self._begin = instant_at(zone, start)
        self._zone = zone
        self._days_from = agenda_of(parts, start)
        # Clocks change by whole minutes: times with the same second lie whole minutes apart.
        self.apart_seconds = MINUTE if len(parts.by_second) == 1 else 1
        self._until = self._last(parts.count) if parts.count else until

    def next_after(self, after: int) -> int | None:
        after = max(after, self._begin - 1)
        if self._until is not None and after >= self._until:
            return None
        first = max(first_day(self._zone, after), self._start // DAY)
        found = first_instant(self._days_from(first, HORIZON_YEARS), self._zone, moved_forward, after)
        return None if found is None or (self._until is not None and found > self._until) else found

    def times_on(self, day: int) -> Iterator[Times]:
        """The times that a local day has on the clock, whatever a change of the clocks makes of them."""
        return (times for found, times in islice(self._days_from(day, 1), 1) if found == day)

    def _last(self, count: int) -> int | None:
        """The occurrence that COUNT ends with, None when there is none at all."""
        remaining = count
        for day, times in self._days_from(self._start // DAY, COUNTED_YEARS):
            early = times.before(self._start - day * DAY) if day * DAY < self._start else 0
            available = times.size() - early
            if available >= remaining:
                return instant_at(self._zone, day * DAY + nth(times, early + remaining - 1))
            remaining -= available
        if remaining < count:
            raise ScheduleFault(f"COUNT reaches over {COUNTED_YEARS} years ahead; use UNTIL.", code=TOO_COMPLEX)
        return None
