"""Pauses a task that has failed so often in a row as its owner allows."""

from functools import partial

import asyncpg
import structlog

from services.executor.batches import Batches
from services.executor.work import Work
from shared.database.retry import retry_transient
from shared.database.statements import load_statements

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
COLLECT_SECONDS = 0.01
BATCH = 100


class FailurePauser:
    """After the failure is recorded: a crash in between leaves it to the next failure."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._batches = Batches(
            self._pause_each, name="pauser", collect_seconds=COLLECT_SECONDS, size=BATCH, last_words_seconds=1.0
        )

    async def start(self) -> None:
        await self._batches.start()

    async def stop(self) -> None:
        await self._batches.stop()

    def look_at(self, work: Work) -> None:
        """`work` has failed for good."""
        if work.pause_after_failures is not None:
            self._batches.add(work)

    async def pause(self, work: Work) -> bool:
        """Whether that many runs have failed since the task was last made active, and it is paused now."""
        failures = work.pause_after_failures
        note = f"Paused after {failures} failures in a row." if failures != 1 else "Paused after a failure."
        return await self._pool.fetchval(SQL["pause_failing_task"].sql, work.task_id, failures, note) is not None

    async def _pause_each(self, batch: list[Work]) -> None:
        for task_id, work in {work.task_id: work for work in batch}.items():
            try:
                is_paused = await retry_transient(partial(self.pause, work), name="pause_failing_task")
            except asyncpg.PostgresError as error:
                logger.warning("task_not_paused", task_id=str(task_id), error=repr(error))
                continue
            if is_paused:
                logger.warning("task_paused_after_failures", task_id=str(task_id), failures=work.pause_after_failures)
