"""Completes the tasks whose schedule yields no more and whose last occurrence has its outcome."""

import asyncpg
import msgspec
import structlog

from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.vocabulary.limits import POLL_SECONDS

logger = structlog.get_logger(__name__)

SQL = load_statements("services.scheduler", "sql/cursors.sql")
BATCH = 500


class Completed(msgspec.Struct, frozen=True):
    tasks: int

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.tasks == BATCH else POLL_SECONDS


class Completer(Part):
    name = "completer"

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def run_once(self) -> Completed:
        rows = await self._pool.fetch(SQL["complete_exhausted"].sql, BATCH)
        for row in rows:
            logger.info("task_completed", task_id=str(row["task_id"]))
        return Completed(len(rows))
