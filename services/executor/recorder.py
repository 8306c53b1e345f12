"""Collects outcomes for some milliseconds and records them together."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence

import asyncpg
import msgspec
import structlog

from services.executor.outcome import Outcome
from services.executor.work import Work
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.vocabulary.states import ErrorClass, RunStatus

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
COLLECT_SECONDS = 0.005
BATCH = 200
PAUSE_AFTER_FAILURE_SECONDS = 1.0


class Finished(msgspec.Struct, frozen=True):
    work: Work
    outcome: Outcome
    trace_id: str | None


class BatchTooLarge(Exception):
    """The statement timeout came first; half of it may pass."""


class Recorder:
    """`add` returns at once and frees the slot; a process killed before the flush runs the work again under the same
    key, which the promise allows. An outcome is never given up while the process lives."""

    def __init__(self, pool: asyncpg.Pool, on_recorded: Callable[[Iterable[Work]], None]) -> None:
        self._pool = pool
        self._on_recorded = on_recorded
        self._waiting: list[Finished] = []
        self._in_flight = 0
        self._is_something_waiting = asyncio.Event()
        self._is_full = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Outcomes not yet in the database."""
        return len(self._waiting) + self._in_flight

    async def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name="recorder")

    async def stop(self) -> None:
        """Record what is waiting, then end."""
        self._is_closing = True
        self._is_something_waiting.set()
        self._is_full.set()
        if self._task is not None:
            await self._task

    def add(self, finished: Finished) -> None:
        self._waiting.append(finished)
        self._is_something_waiting.set()
        if len(self._waiting) >= BATCH:
            self._is_full.set()

    async def _loop(self) -> None:
        while self._waiting or not self._is_closing:
            await self._is_something_waiting.wait()
            await self._collect()
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting and not self._is_closing:
                self._is_something_waiting.clear()
                self._is_full.clear()
            if batch:
                self._in_flight = len(batch)
                await self._supervised(batch)
                self._in_flight = 0

    async def _collect(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COLLECT_SECONDS):
                await self._is_full.wait()

    async def _supervised(self, batch: list[Finished]) -> None:
        try:
            await self._record_each(batch)
        except Exception:  # the supervisor of the recorder: what could not be written waits, and is not lost
            logger.exception("outcomes_wait", outcomes=len(batch))
            self._waiting = batch + self._waiting
            self._is_something_waiting.set()
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)

    async def _record_each(self, batch: Sequence[Finished]) -> None:
        """One outcome that Postgres will not store must not take the others with it, nor be lost."""
        try:
            await self.record(batch)
        except (asyncpg.PostgresError, BatchTooLarge) as error:
            logger.warning("outcomes_not_storable", outcomes=len(batch), error=repr(error))
            if len(batch) == 1:
                await self.record([_without_output(batch[0])])
                return
            middle = len(batch) // 2
            await self._record_each(batch[:middle])
            await self._record_each(batch[middle:])

    async def record(self, batch: Sequence[Finished]) -> int:
        """Write the outcomes in one statement; returns how many were refused because their fence had moved on."""
        arguments = _columns(sorted(batch, key=lambda finished: finished.work.id))
        tries = 0

        async def write() -> list[asyncpg.Record]:
            nonlocal tries
            tries += 1
            try:
                return await self._pool.fetch(SQL["record_outcomes"].sql, *arguments)
            except asyncpg.QueryCanceledError as error:
                if len(batch) > 1:
                    raise BatchTooLarge from error
                raise

        rows = await retry_transient(write, name="record_outcomes")
        self._on_recorded(finished.work for finished in batch)
        recorded = {row["id"] for row in rows}
        refused = [finished for finished in batch if finished.work.id not in recorded]
        _tell(batch, refused, is_repeated=tries > 1)
        return len(refused)


def _without_output(finished: Finished) -> Finished:
    error = {
        "class": ErrorClass.INTERNAL.value,
        "message": "The result could not be stored.",
        "retryable": False,
    }
    return msgspec.structs.replace(finished, outcome=Outcome(RunStatus.FAILED, False, error=error))


def _columns(batch: Sequence[Finished]) -> tuple[list[object], ...]:
    outcomes = [finished.outcome for finished in batch]
    return (
        [finished.work.id for finished in batch],
        [finished.work.fence for finished in batch],
        [outcome.status for outcome in outcomes],
        [outcome.success for outcome in outcomes],
        [outcome.retry_in_seconds for outcome in outcomes],
        [outcome.is_handed_back for outcome in outcomes],
        [outcome.output for outcome in outcomes],
        [outcome.error for outcome in outcomes],
        [finished.trace_id for finished in batch],
        [finished.work.claimed_at for finished in batch],
    )


def _tell(batch: Sequence[Finished], refused: Sequence[Finished], *, is_repeated: bool) -> None:
    for finished in refused:
        # After a lost reply the first try may have been the one that was recorded.
        event = "outcome_recorded_before" if is_repeated else "stale_write_refused"
        logger.warning(event, run_id=str(finished.work.id), fence=finished.work.fence)
    refused_ids = {finished.work.id for finished in refused}
    for finished in batch:
        if finished.work.id not in refused_ids:
            work, outcome = finished.work, finished.outcome
            logger.info(
                "run_recorded",
                run_id=str(work.id),
                task_id=str(work.task_id),
                attempt=work.attempt,
                status=outcome.status,
                trace_id=finished.trace_id,
            )
