"""Tells which runs have changed, after the commit and without letting anybody wait for Redis."""

import asyncio
import contextlib
import time
from collections.abc import Iterable

import msgspec
from redis.asyncio import Redis

from shared.runtime.loop import Part
from shared.streams.run_updates import RunChange, is_wanted, publish

LOOK_SECONDS = 1.0
CHANGES_AT_ONCE = 1000
# Beyond these, Redis is slower than the runs: who listens finds them in the database.
CHANGES_WAITING = 10_000


class Told(msgspec.Struct, frozen=True):
    runs: int
    pause_seconds: float = 0.0


class RunUpdates(Part):
    """Costs nothing while nobody listens, which it asks once a second: what changes until it knows is found by the
    listeners' own look."""

    name = "run_updates"

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._is_wanted = False
        self._look_at = 0.0
        self._waiting: list[RunChange] = []
        self._is_told = asyncio.Event()

    def tell(self, changes: Iterable[RunChange]) -> None:
        """After the commit. `changes` is only looked at while somebody listens."""
        if self._is_wanted and len(self._waiting) < CHANGES_WAITING:
            self._waiting.extend(changes)
            self._is_told.set()

    async def run_once(self) -> Told:
        if time.monotonic() >= self._look_at:
            self._is_wanted = await is_wanted(self._redis)
            self._look_at = time.monotonic() + LOOK_SECONDS
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._look_at - time.monotonic())):
                await self._is_told.wait()
        return Told(await self._publish_next())

    async def stop(self) -> None:
        await self._publish_next()

    async def _publish_next(self) -> int:
        batch, self._waiting = self._waiting[:CHANGES_AT_ONCE], self._waiting[CHANGES_AT_ONCE:]
        if not self._waiting:
            self._is_told.clear()
        if batch:
            await publish(self._redis, batch)
        return len(batch)
