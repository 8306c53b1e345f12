"""Fetches due work into free slots: at a bell, when the next row becomes available, and at least every second."""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import asyncpg
import msgspec

from services.executor.work import Work, known_word
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.vocabulary.limits import POLL_SECONDS
from shared.vocabulary.states import BackoffStrategy, Source

SQL = load_statements("services.executor", "sql/queue.sql")
# A row that another executor is claiming at this moment shows as available; look again, but not in a tight loop.
LOOK_AGAIN_SECONDS = 0.01


class Slots(Protocol):
    """Where claimed work goes. `free` is 0 while the executor stops."""

    @property
    def free(self) -> int: ...

    def take(self, work: Work, claimed_at: float) -> None: ...


class Claimed(msgspec.Struct, frozen=True):
    work: int
    pause_seconds: float


class Claimer(Part):
    name = "claimer"
    # A claim cut short may have leased rows that nobody would run.
    finish_seconds = 2.0

    def __init__(self, pool: asyncpg.Pool, slots: Slots, *, instance: str, lease_seconds: float, batch: int) -> None:
        self._pool = pool
        self._slots = slots
        self._instance = instance
        self._lease_seconds = lease_seconds
        self._batch = batch
        self.on_claimed: Callable[[Sequence[Work]], None] = _nobody_listens

    async def run_once(self, now: datetime | None = None) -> Claimed:
        """Claim at most as much as there are free slots. Woken early when a slot becomes free."""
        limit = min(self._slots.free, self._batch)
        if limit <= 0:
            return Claimed(0, POLL_SECONDS)
        asked_at = time.monotonic()
        try:
            rows = await self.claim(limit, now)
        except asyncpg.UniqueViolationError:
            # Two executors began work of one task in the same moment, and the other was first.
            return Claimed(0, LOOK_AGAIN_SECONDS)
        for work in rows:
            self._slots.take(work, asked_at)
        self.on_claimed(rows)
        if len(rows) == limit:
            return Claimed(len(rows), 0.0)
        return Claimed(len(rows), await self._seconds_until_next())

    async def claim(self, limit: int, now: datetime | None = None) -> Sequence[Work]:
        """Lease up to `limit` due rows, most urgent first, and start their runs."""
        rows = await self._pool.fetch(SQL["claim"].sql, limit, self._instance, self._lease_seconds, now)
        return [_work_of(row) for row in rows]

    async def _seconds_until_next(self) -> float:
        seconds: float | None = await self._pool.fetchval(SQL["seconds_until_next"].sql)
        if seconds is None:
            return POLL_SECONDS
        return min(max(seconds, LOOK_AGAIN_SECONDS), POLL_SECONDS)


def _nobody_listens(_claimed: Sequence[Work]) -> None:
    return None


def _work_of(row: asyncpg.Record) -> Work:
    """A row that a newer version wrote, or somebody by hand, must not keep its neighbours from running: a strategy or a
    payload that is unknown here becomes one that is known, and the attempt says what is wrong with the rest."""
    columns = dict(row)
    columns["backoff_strategy"] = known_word(BackoffStrategy, columns["backoff_strategy"], BackoffStrategy.FIXED)
    columns["source"] = known_word(Source, columns["source"], Source.MANUAL)
    if not isinstance(columns["payload"], dict):
        columns["payload"] = {"payload": columns["payload"]}
    return Work(**columns)
