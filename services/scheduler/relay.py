"""Relays the events that their publishers left behind: one that crashed, or to which Redis did not answer."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec
import structlog
from redis.asyncio import Redis

from shared.events.event import Published
from shared.events.publishing import SQL, event_of
from shared.events.relaying import envelope_of, relay
from shared.runtime.loop import Part
from shared.streams.client import REDIS_ERRORS
from shared.streams.event_log import Envelope
from shared.vocabulary.limits import POLL_SECONDS

logger = structlog.get_logger(__name__)

BATCH = 100
LEFT_BEHIND_SECONDS = 1.0
TURN = "events:relaying"
# Longer than a round; who dies with the turn keeps it no longer.
TURN_SECONDS = 10


class Relayed(msgspec.Struct, frozen=True):
    events: int

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.events == BATCH else POLL_SECONDS


class Relay(Part):
    """One scheduler at a time, in the order of the events' ids. The turn lives in Redis, without which there is nothing
    to do; where it is lost, readers see some events twice."""

    name = "relay"

    def __init__(self, pool: asyncpg.Pool, redis: Redis, instance: str) -> None:
        self._pool = pool
        self._redis = redis
        self._instance = instance

    async def run_once(self, now: datetime | None = None) -> Relayed:
        if not await self._left_behind(1, now):
            return Relayed(0)
        try:
            if not await self._redis.set(TURN, self._instance, nx=True, ex=TURN_SECONDS):
                return Relayed(0)
            try:
                # Read within the turn: what another relayed just before is marked by now.
                relayed = await relay(self._pool, self._redis, await self._left_behind(BATCH, now))
            finally:
                await self._redis.delete(TURN)
        except REDIS_ERRORS as error:
            logger.warning("relay_waits_for_redis", error=repr(error))
            return Relayed(0)
        if relayed:
            logger.info("events_relayed", events=relayed)
        return Relayed(relayed)

    async def _left_behind(self, limit: int, now: datetime | None) -> Sequence[Envelope]:
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(SQL["list_unrelayed"].sql, limit, LEFT_BEHIND_SECONDS, now)
        found = [(event_of(row["id"], dict(row)), row["published_at"]) for row in rows]
        return [envelope_of(Published(event, at, 0, is_new=True)) for event, at in found]
