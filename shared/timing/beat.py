"""Rules finer than a day: a beat of every n-th hour, minute or second that only some slots of the day let through."""

from math import gcd
from typing import NamedTuple

from shared.timing.seconds import DAY
from shared.timing.times import Times

# Up to here a beat remembers the slots of each phase: all of them together are one day's slots.
REMEMBERED_INTERVAL = 1440


class Lane(NamedTuple):
    """The slots of one day on which the beat falls: number `offset`, `offset + every`, …; a 1 marks an open one."""

    unit_seconds: int
    offset: int
    every: int
    open: bytes
    within: Times
    open_count: int

    def first(self, start: int, end: int) -> int | None:
        slot = start // self.unit_seconds
        index = self.open.find(1, max(0, -((self.offset - slot) // self.every)))
        while index >= 0:
            at = (self.offset + index * self.every) * self.unit_seconds
            found = self.within.first(max(0, start - at), self.unit_seconds)
            if found is not None or at >= end:
                return at + found if found is not None and at + found < end else None
            index = self.open.find(1, index + 1)
        return None

    def before(self, end: int) -> int:
        slot, rest = divmod(end, self.unit_seconds)
        index = -((self.offset - slot) // self.every)
        count = self.open.count(1, 0, max(0, index)) * self.within.size()
        is_on_beat = index >= 0 and self.offset + index * self.every == slot
        return count + (self.within.before(rest) if is_on_beat and 1 in self.open[index : index + 1] else 0)

    def size(self) -> int:
        return self.open_count * self.within.size()


class Beat:
    """`phase` is any slot of the beat, counted from the first of all days; `open` has one byte for each slot of a day;
    `within` are the seconds inside a slot."""

    def __init__(self, unit_seconds: int, every: int, phase: int, is_open: bytes, within: Times) -> None:
        self.unit_seconds = unit_seconds
        self.every = every
        shared = gcd(every, len(is_open))
        # After so many days the beat falls on the same slots again.
        self.cycle_days = every // shared
        self.is_ever_open = 1 in is_open[phase % shared :: shared]
        self.phase = phase
        self.is_open = is_open
        self.within = within
        self._by_offset: dict[int, Lane | None] = {}

    def on(self, day: int) -> Lane | None:
        """The day's times, None when there are none."""
        offset = (self.phase - day * (DAY // self.unit_seconds)) % self.every
        if self.every > REMEMBERED_INTERVAL:
            return self._lane(offset)
        if offset not in self._by_offset:
            self._by_offset[offset] = self._lane(offset)
        return self._by_offset[offset]

    def _lane(self, offset: int) -> Lane | None:
        slots = self.is_open[offset :: self.every]
        count = slots.count(1)
        return Lane(self.unit_seconds, offset, self.every, slots, self.within, count) if count else None


def open_slots(unit_seconds: int, hours: tuple[int, ...], minutes: tuple[int, ...], seconds: tuple[int, ...]) -> bytes:
    """One byte for each hour, minute or second of a day, 1 where every given list has it; an empty list has all."""
    minute = _marked(60, seconds, b"\1") if unit_seconds == 1 else b"\1"
    hour = _marked(60, minutes, minute) if unit_seconds < 3600 else b"\1"
    return _marked(24, hours, hour)


def _marked(count: int, wanted: tuple[int, ...], pattern: bytes) -> bytes:
    closed = bytes(len(pattern))
    return b"".join(pattern if not wanted or number in wanted else closed for number in range(count))
