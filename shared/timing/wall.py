"""What the wall clocks of a zone do on one day, read in three ways: as they come, moved forward, caught up."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.timing.seconds import DAY, HOUR, LAST_DAY, instant_of

# Since 1900 no zone has been further from UTC than 14 hours, and none has changed its clocks twice in four days: every
# instant of a local day lies within this distance of the same day in UTC, and there is one change at most.
FARTHEST_OFFSET = 16 * HOUR
# Debian's cron takes a jump of three hours for a correction of the clock and catches up with nothing. Zones do jump so
# (Casey, 2016-10-22), and a daily task would lose that day; only a whole day left out has nothing to catch up with.
GAP_OF_A_WHOLE_DAY = DAY
DAYS_REMEMBERED = 1024


class Stretch(NamedTuple):
    """The wall times start <= t < end. They are the instants t - offset, or all of them the instant `pinned`.
    No clock showed those of a gap."""

    start: int
    end: int
    offset: int
    is_gap: bool = False
    pinned: int | None = None


class Gap(NamedTuple):
    """Wall times that no clock showed: `offset` is that before the gap, `ends` the instant at which clocks went on."""

    start: int
    end: int
    offset: int
    ends: int
    length: int

    def read(self, *, pinned: int | None = None) -> Stretch:
        return Stretch(self.start, self.end, self.offset, is_gap=True, pinned=pinned)


@lru_cache(DAYS_REMEMBERED)
def as_they_come(zone: ZoneInfo, day: int) -> tuple[Stretch, ...]:
    """A repeated hour appears twice, a skipped one not at all."""
    first, after = day * DAY, (day + 1) * DAY
    clipped = (Stretch(max(s.start, first), min(s.end, after), s.offset) for s in _spans(zone, day))
    return tuple(stretch for stretch in clipped if stretch.start < stretch.end)


@lru_cache(DAYS_REMEMBERED)
def moved_forward(zone: ZoneInfo, day: int) -> tuple[Stretch, ...]:
    """RFC 5545, 3.3.5: a skipped time is read with the offset before the gap; of a repeated one the first counts."""
    return tuple(part.read() if isinstance(part, Gap) else part for part in _once_each(zone, day))


@lru_cache(DAYS_REMEMBERED)
def caught_up(zone: ZoneInfo, day: int) -> tuple[Stretch, ...]:
    """cron(8) of Debian: skipped times come all at once, right after the gap; of a repeated one the first counts."""
    parts = (part for part in _once_each(zone, day) if not isinstance(part, Gap) or part.length < GAP_OF_A_WHOLE_DAY)
    return tuple(part.read(pinned=part.ends) if isinstance(part, Gap) else part for part in parts)


def instant_at(zone: ZoneInfo, wall: int) -> int:
    """The instant of one wall time: moved forward over a gap, the first of two."""
    return next(wall - part.offset for part in moved_forward(zone, wall // DAY) if part.start <= wall < part.end)


def offset_at(zone: ZoneInfo, instant: int) -> int:
    """Seconds east of UTC. Near the ends of the calendar, where conversions overflow, the nearest safe day counts."""
    utc = instant_of(min(max(instant, 3 * DAY), (LAST_DAY - 2) * DAY))
    offset = utc and utc.astimezone(zone).utcoffset()
    return offset.days * DAY + offset.seconds if offset else 0


def _once_each(zone: ZoneInfo, day: int) -> Iterator[Stretch | Gap]:
    """Every wall time of the day exactly once."""
    shown, after, before = day * DAY, (day + 1) * DAY, 0
    for start, end, offset, *_ in _spans(zone, day):
        if shown < min(start, after):
            yield Gap(shown, min(start, after), before, start - offset, offset - before)
            shown = min(start, after)
        if shown < min(end, after):
            yield Stretch(shown, min(end, after), offset)
            shown = min(end, after)
        before = offset


def _spans(zone: ZoneInfo, day: int) -> Iterator[Stretch]:
    """The one or two spans of wall time, from well before the day until well after it."""
    first, last = day * DAY - FARTHEST_OFFSET, (day + 1) * DAY + FARTHEST_OFFSET
    before, after = offset_at(zone, first), offset_at(zone, last)
    change = _change_between(zone, first, last) if before != after else last
    yield Stretch(first + before, change + before, before)
    if before != after:
        yield Stretch(change + after, last + after, after)


def _change_between(zone: ZoneInfo, before: int, after: int) -> int:
    """The first instant with the new offset."""
    offset = offset_at(zone, before)
    while after - before > 1:
        middle = (before + after) // 2
        if offset_at(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after
