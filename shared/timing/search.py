"""From days with times to the next instant, across clock changes."""

from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from shared.timing.seconds import DAY
from shared.timing.times import Times
from shared.timing.wall import Stretch, offset_at

Clocks = Callable[[ZoneInfo, int], tuple[Stretch, ...]]


def first_day(zone: ZoneInfo, after: int) -> int:
    """The local day at which a search must begin: the day before may still have times to come, moved by a gap."""
    return (after + offset_at(zone, after)) // DAY - 1


def first_instant(days: Iterable[tuple[int, Times]], zone: ZoneInfo, clocks: Clocks, after: int) -> int | None:
    """The earliest instant > after among the times of ascending days."""
    best: int | None = None
    settled = 0
    for day, times in days:
        if best is not None and day > settled:
            break
        stretches = clocks(zone, day)
        for stretch in stretches:
            found = _first_in(stretch, times, day, after)
            if found is not None and (best is None or found < best):
                best = found
                # Around a clock change the next day's first times can come before this day's last.
                settled = day + (len(stretches) > 1 or stretch.is_gap)
    return best


def _first_in(stretch: Stretch, times: Times, day: int, after: int) -> int | None:
    if stretch.pinned is not None:
        caught = stretch.pinned > after and times.first(stretch.start - day * DAY, stretch.end - day * DAY) is not None
        return stretch.pinned if caught else None
    start = max(stretch.start, after + 1 + stretch.offset)
    if start >= stretch.end:
        return None
    found = times.first(start - day * DAY, stretch.end - day * DAY)
    return None if found is None else day * DAY + found - stretch.offset
