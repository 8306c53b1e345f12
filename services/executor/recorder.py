"""Collects outcomes for some milliseconds and records them together."""

from collections.abc import Callable, Iterable, Sequence

import asyncpg
import msgspec
import structlog

from services.executor.batches import Batches
from services.executor.journal import StepRecord, columns_of
from services.executor.outcome import Hook, Outcome, hook_of
from services.executor.work import Work
from shared.database.pool import as_element
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.vocabulary.states import ErrorClass, RunStatus

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
COLLECT_SECONDS = 0.005
BATCH = 200


class Finished(msgspec.Struct, frozen=True):
    work: Work
    outcome: Outcome
    trace_id: str | None
    steps: Sequence[StepRecord] = ()
    hook: Hook | None = None


class BatchTooLarge(Exception):
    """The statement timeout came first; half of it may pass."""


class Recorder:
    """`add` returns at once and frees the slot; a process killed before the flush runs the work again under the same
    key, which the promise allows. An outcome is never given up while the process lives."""

    def __init__(self, pool: asyncpg.Pool, on_recorded: Callable[[Iterable[Work]], None]) -> None:
        self._pool = pool
        self._on_recorded = on_recorded
        self._batches = Batches(self._record_each, name="recorder", collect_seconds=COLLECT_SECONDS, size=BATCH)
        self.on_work_freed: Callable[[], None] = _nobody_waits
        self.on_failure: Callable[[Work], None] = _nobody_cares
        self.on_recorded: Callable[[Sequence[Finished]], None] = _nobody_listens

    @property
    def waiting(self) -> int:
        """Outcomes not yet in the database."""
        return self._batches.waiting

    async def start(self) -> None:
        await self._batches.start()

    async def stop(self) -> None:
        """Record what is waiting, then end."""
        await self._batches.stop()

    def add(self, finished: Finished) -> None:
        self._batches.add(finished)

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
        if (rows and rows[0]["let_go"]) or any(finished.hook is not None for finished in batch):
            self.on_work_freed()
        recorded = {row["id"] for row in rows}
        refused = [finished for finished in batch if finished.work.id not in recorded]
        for finished in batch:
            if finished.outcome.success is False and finished.work.id in recorded:
                self.on_failure(finished.work)
        self.on_recorded([finished for finished in batch if finished.work.id in recorded])
        _tell(batch, refused, is_repeated=tries > 1)
        return len(refused)


def _nobody_waits() -> None:
    return None


def _nobody_cares(_work: Work) -> None:
    return None


def _nobody_listens(_recorded: Sequence[Finished]) -> None:
    return None


def _without_output(finished: Finished) -> Finished:
    error = {
        "class": ErrorClass.INTERNAL.value,
        "message": "The result could not be stored.",
        "retryable": False,
    }
    outcome = Outcome(RunStatus.FAILED, False, error=error)
    return Finished(finished.work, outcome, finished.trace_id, hook=hook_of(finished.work, outcome))


def _columns(batch: Sequence[Finished]) -> tuple[list[object], ...]:
    outcomes = [finished.outcome for finished in batch]
    return (
        [finished.work.id for finished in batch],
        [finished.work.fence for finished in batch],
        [outcome.status for outcome in outcomes],
        [outcome.success for outcome in outcomes],
        [outcome.retry_in_seconds for outcome in outcomes],
        [outcome.is_attempt_kept for outcome in outcomes],
        [as_element(outcome.output) for outcome in outcomes],
        [outcome.error for outcome in outcomes],
        [finished.trace_id for finished in batch],
        [finished.work.claimed_at for finished in batch],
        [finished.hook.id if finished.hook else None for finished in batch],
        [finished.hook.event if finished.hook else None for finished in batch],
        *columns_of([(finished.work.id, record) for finished in batch for record in finished.steps]),
        [outcome.is_unstarted for outcome in outcomes],
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
