"""Rings after a commit without letting whoever waits for the answer wait for Redis."""

import asyncio
from collections import Counter

import msgspec
from redis.asyncio import Redis

from shared.runtime.loop import Part
from shared.streams.broadcast import Broadcast, announce
from shared.streams.doorbell import WORK_PER_BELL, Bell, ring


class Rung(msgspec.Struct, frozen=True):
    pause_seconds: float = 0.0


class Bells(Part):
    """Collects what is to be rung; a loop of its own rings it. What a crash leaves unrung, the listeners find."""

    name = "bells"

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._wanted: Counter[Bell | Broadcast] = Counter()
        self._is_wanted = asyncio.Event()

    def want(self, bell: Bell | Broadcast, times: int = 1) -> None:
        """`times`: for so many pieces of work. A broadcast reaches everybody at once, however often it is wanted."""
        self._wanted[bell] += times
        self._is_wanted.set()

    async def run_once(self) -> Rung:
        await self._is_wanted.wait()
        await self._ring_wanted()
        return Rung()

    async def stop(self) -> None:
        await self._ring_wanted()

    async def _ring_wanted(self) -> None:
        self._is_wanted.clear()
        wanted, self._wanted = self._wanted, Counter()
        for bell, times in wanted.items():
            if isinstance(bell, Broadcast):
                await announce(self._redis, bell)
            else:
                await ring(self._redis, bell, -(-times // WORK_PER_BELL))
