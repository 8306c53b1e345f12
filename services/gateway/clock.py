"""The database's time without a round trip: asked every few seconds, carried on by the monotonic clock."""

import time
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from shared.runtime.loop import Part

ASK_SECONDS = 2.0


class Asked(msgspec.Struct, frozen=True):
    pause_seconds: float = ASK_SECONDS


class DatabaseClock(Part):
    """Until the database has answered once: the time of this machine."""

    name = "clock"

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._set(datetime.now(UTC))

    async def run_once(self) -> Asked:
        before = time.monotonic()
        told = await self._pool.fetchval("SELECT clock_timestamp()")
        self._set(told + timedelta(seconds=(time.monotonic() - before) / 2))
        return Asked()

    def now(self) -> datetime:
        return self._told + timedelta(seconds=time.monotonic() - self._told_at)

    def _set(self, told: datetime) -> None:
        self._told = told
        self._told_at = time.monotonic()
