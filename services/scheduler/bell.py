"""Rings at the moment work is due, as often as there are batches to fetch."""

import heapq
import time
from collections.abc import Iterable
from datetime import datetime

import msgspec
from redis.asyncio import Redis

from shared.runtime.loop import Part
from shared.streams.doorbell import WORK_PER_BELL, Bell, ring
from shared.vocabulary.limits import POLL_SECONDS

# Work due within one step of this grid shares its bells.
GRID_SECONDS = 0.005
# The most bells that one moment is worth.
BELLS_AT_ONCE = 16


class Rung(msgspec.Struct, frozen=True):
    bells: int
    pause_seconds: float


def due_at(run_at: datetime, database_now: datetime, read_at: float) -> float:
    """The moment on this process's monotonic clock at which the database's clock shows `run_at`."""
    return read_at + (run_at - database_now).total_seconds()


class Ringer(Part):
    """Holds the moments, in memory only: a ringer that dies takes bells with it, and the executors' own look at the
    clock replaces them."""

    name = "ringer"

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._moments: list[float] = []
        self._work_at: dict[float, int] = {}

    def set(self, moments: Iterable[float]) -> None:
        for moment in moments:
            # Rounded up: a bell before its time would make an executor look in vain.
            slot = -(-moment // GRID_SECONDS) * GRID_SECONDS
            if slot not in self._work_at:
                heapq.heappush(self._moments, slot)
            self._work_at[slot] = self._work_at.get(slot, 0) + 1

    async def run_once(self) -> Rung:
        """Ring for every moment that has come; say how long until the next."""
        work = 0
        now = time.monotonic()
        while self._moments and self._moments[0] <= now:
            work += self._work_at.pop(heapq.heappop(self._moments))
        bells = min(-(-work // WORK_PER_BELL), BELLS_AT_ONCE)
        if bells:
            await ring(self._redis, Bell.DUE_WORK, bells)
        return Rung(bells, self._pause_seconds())

    def _pause_seconds(self) -> float:
        if not self._moments:
            return POLL_SECONDS
        return min(max(self._moments[0] - time.monotonic(), 0.0), POLL_SECONDS)
