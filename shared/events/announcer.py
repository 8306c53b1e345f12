"""Relays events to the event log right after their commit; what it leaves undone, the scheduler relays."""

import asyncio
import time
from collections import deque
from datetime import datetime

import asyncpg
import msgspec
from redis.asyncio import Redis

from shared.events.event import Published
from shared.events.relaying import envelope_of, in_order, relay
from shared.runtime.loop import Part
from shared.streams.event_log import Envelope, trim

# Many: while batches are being published, each round waits its turn several times.
EVENTS_AT_ONCE = 2000
# Beyond these, the scheduler does it: Redis is away, or slower than the publishers.
EVENTS_WAITING = 5000
# After so long the scheduler does it, too; an event before this one was left behind by somebody.
HELD_BACK_SECONDS = 1.0
LOOK_AGAIN_SECONDS = 0.02


class Announced(msgspec.Struct, frozen=True):
    events: int
    pause_seconds: float = 0.0


class Waiting(msgspec.Struct, frozen=True):
    """`since`: of the monotonic clock."""

    envelope: Envelope
    since: float


class Announcer(Part):
    """Whoever publishes says so here, and does not wait for Redis."""

    name = "announcer"

    def __init__(self, pool: asyncpg.Pool, redis: Redis) -> None:
        self._pool = pool
        self._redis = redis
        self._waiting: deque[Waiting] = deque()
        self._trim_before: datetime | None = None
        self._is_wanted = asyncio.Event()

    def want(self, published: Published) -> None:
        """After the commit."""
        if published.is_new and len(self._waiting) < EVENTS_WAITING:
            self._waiting.append(Waiting(envelope_of(published), time.monotonic()))
            self._is_wanted.set()

    def want_trimmed(self, before: datetime) -> None:
        """After the commit that removed older events: the log keeps none of them either."""
        self._trim_before = before
        self._is_wanted.set()

    async def run_once(self) -> Announced:
        await self._is_wanted.wait()
        if self._trim_before is not None:
            before, self._trim_before = self._trim_before, None
            await trim(self._redis, before)
        events, held_back = await self._relay_next()
        if not self._waiting:
            self._is_wanted.clear()
        # Whoever published what comes before is about to relay it.
        return Announced(events, LOOK_AGAIN_SECONDS if held_back and not events else 0.0)

    async def stop(self) -> None:
        """What has to wait for others is left to the scheduler."""
        while self._waiting:
            events, _ = await self._relay_next()
            if not events:
                self._waiting.clear()

    async def _relay_next(self) -> tuple[int, int]:
        """How many were relayed, and held back. Those that were neither are forgotten here: the scheduler finds them in
        the table."""
        batch = [self._waiting.popleft() for _ in range(min(EVENTS_AT_ONCE, len(self._waiting)))]
        if not batch:
            return 0, 0
        found = await in_order(self._pool, [each.envelope for each in batch])
        relayed = await relay(self._pool, self._redis, found.next)
        held_back = {envelope.id for envelope in found.held_back}
        patience = time.monotonic() - HELD_BACK_SECONDS
        again = [each for each in batch if each.envelope.id in held_back and each.since > patience]
        self._waiting.extendleft(reversed(again))
        return relayed, len(again)
