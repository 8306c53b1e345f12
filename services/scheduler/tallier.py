"""Counts the runs that have reached their outcome: by the hour, later by the day."""

from datetime import datetime

import asyncpg
import msgspec

from shared.database.statements import load_statements
from shared.runtime.loop import Part

SQL = load_statements("services.scheduler", "sql/tallies.sql")
# As many as are counted well within the time that a statement has, were each of a task of its own.
BATCH = 10_000
SUBJECTS = 500
FOLD_SECONDS = 2.0


class Folded(msgspec.Struct, frozen=True):
    """How many runs were counted, and whether days were added up."""

    runs: int
    is_day_rolled: bool
    batch: int = BATCH

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.runs == self.batch or self.is_day_rolled else FOLD_SECONDS


class Tallier(Part):
    """Any number of schedulers: one works at a time, in transactions that count each run once or not at all."""

    name = "tallier"

    def __init__(self, pool: asyncpg.Pool, batch: int = BATCH, subjects: int = SUBJECTS) -> None:
        self._pool = pool
        self._batch = batch
        self._subjects = subjects

    async def run_once(self, now: datetime | None = None) -> Folded:
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(SQL["try_to_fold"].sql):
                return Folded(0, is_day_rolled=False, batch=self._batch)
            runs: int = await connection.fetchval(SQL["fold_tallies"].sql, self._batch)
            rolled = await connection.fetch(SQL["roll_up_day"].sql, self._subjects, now) if runs < self._batch else []
        return Folded(runs, is_day_rolled=bool(rolled), batch=self._batch)
