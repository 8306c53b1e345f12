"""PURE: the generic cell rate algorithm (ITU-T I.371): a limit that needs one number and lets nobody save up more than
the limit itself. `take.lua` decides the same inside Redis.

Each cell costs an interval; a debt melts with time, and may never be greater than a whole period.
"""

from collections.abc import Sequence

import msgspec

MICROSECONDS = 1_000_000


class Rate(msgspec.Struct, frozen=True):
    """`limit` cells per `period_seconds`; all of them at once for who has spent none for that long."""

    limit: int
    period_seconds: int

    @property
    def interval_us(self) -> int:
        return -(-self.period_seconds * MICROSECONDS // self.limit)


class Wish(msgspec.Struct, frozen=True):
    """At least `cost` cells, and up to `at_most` if there are so many. Negative ones give back."""

    rate: Rate
    cost: int = 1
    at_most: int = 1


class Taken(msgspec.Struct, frozen=True):
    """`debt_us`: after it. `wait_us`: how long until the wish could be granted; 0 if this one was no obstacle."""

    granted: int
    debt_us: int
    wait_us: int = 0


def take(debts_us: Sequence[int], wishes: Sequence[Wish]) -> list[Taken]:
    """From each of several buckets, or from none of them."""
    judged = [_judge(debt_us, wish) for debt_us, wish in zip(debts_us, wishes, strict=True)]
    if not any(taken.wait_us for taken in judged):
        return judged
    return [
        Taken(0, _bounded(debt_us, wish), taken.wait_us)
        for debt_us, wish, taken in zip(debts_us, wishes, judged, strict=True)
    ]


def remaining(debt_us: int, rate: Rate) -> int:
    """How many cells could be had at once."""
    interval_us = rate.interval_us
    return max(0, (interval_us * rate.limit - debt_us) // interval_us)


def _judge(debt_us: int, wish: Wish) -> Taken:
    interval_us = wish.rate.interval_us
    debt_us = _bounded(debt_us, wish)
    room_us = interval_us * wish.rate.limit - debt_us
    if room_us < wish.cost * interval_us:
        return Taken(0, debt_us, wish.cost * interval_us - room_us)
    granted = min(wish.at_most, room_us // interval_us)
    return Taken(granted, max(0, debt_us + granted * interval_us))


def _bounded(debt_us: int, wish: Wish) -> int:
    """A clock that was set back must lock nobody out."""
    return min(max(0, debt_us), wish.rate.interval_us * wish.rate.limit)
