"""Relays events to the event log right after their commit; what it leaves undone, the scheduler relays."""

import asyncio

import asyncpg
import msgspec
from redis.asyncio import Redis

from shared.events.event import Published
from shared.events.relaying import envelope_of, relay
from shared.runtime.loop import Part
from shared.streams.event_log import Envelope

EVENTS_AT_ONCE = 100
# Beyond these, the scheduler does it: Redis is away, or slower than the publishers.
EVENTS_WAITING = 1000


class Announced(msgspec.Struct, frozen=True):
    events: int
    pause_seconds: float = 0.0


class Announcer(Part):
    """Whoever publishes says so here, and does not wait for Redis."""

    name = "announcer"

    def __init__(self, pool: asyncpg.Pool, redis: Redis) -> None:
        self._pool = pool
        self._redis = redis
        self._waiting: list[Envelope] = []
        self._is_wanted = asyncio.Event()

    def want(self, published: Published) -> None:
        """After the commit."""
        if published.is_new and len(self._waiting) < EVENTS_WAITING:
            self._waiting.append(envelope_of(published))
            self._is_wanted.set()

    async def run_once(self) -> Announced:
        await self._is_wanted.wait()
        return Announced(await self._relay_next())

    async def stop(self) -> None:
        while self._waiting and await self._relay_next():
            continue

    async def _relay_next(self) -> int:
        """How many were relayed. Those that were not are forgotten here: the scheduler finds them in the table."""
        batch, self._waiting = self._waiting[:EVENTS_AT_ONCE], self._waiting[EVENTS_AT_ONCE:]
        if not self._waiting:
            self._is_wanted.clear()
        return await relay(self._pool, self._redis, batch) if batch else 0
