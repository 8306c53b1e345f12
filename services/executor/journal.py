"""What is known of the steps of one run, and how it reaches the database before it is relied upon."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import asyncpg
import msgspec
import structlog

from services.executor.batches import Batches
from services.executor.work import Work
from shared.database.pool import as_element
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.vocabulary.states import StepStatus, WaitKind

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
# Short: somebody waits for it before the next call goes out.
COLLECT_SECONDS = 0.001
BATCH = 200

# The id of a run, as a number, and the fence.
Lease: TypeAlias = tuple[int, int]


class StepRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the journal. `attempt` counts the attempts at this step. `wait_seconds` of a step that begins to wait;
    `deadline_at` of one that waits."""

    step_id: str
    status: StepStatus
    attempt: int
    started_at: datetime
    finished_at: datetime | None = None
    input_digest: bytes | None = None
    output: Any = None
    error: Mapping[str, Any] | None = None
    wait_kind: WaitKind | None = None
    wait_seconds: float | None = None
    deadline_at: datetime | None = None


class LeaseGone(Exception):
    """The run belongs to another executor by now: nothing more is done for it here."""


class Journal:
    """The steps of one run. `is_kept`: a run of one plain step needs none; its outcome says it all."""

    def __init__(self, work: Work, writer: "JournalWriter", known: Iterable[StepRecord], *, is_kept: bool) -> None:
        self._work = work
        self._writer = writer
        self._records = {record.step_id: record for record in known}
        self._unwritten: dict[str, StepRecord] = {}
        self.is_kept = is_kept

    def find(self, step_id: str) -> StepRecord | None:
        return self._records.get(step_id)

    def note(self, record: StepRecord) -> None:
        """To be written with whatever is written next, at the latest with the outcome."""
        self._records[record.step_id] = record
        self._unwritten[record.step_id] = record

    async def write(self) -> None:
        """Return when all that was noted is in the database, but for what waits: it is written with the parking. Raises
        LeaseGone."""
        unwritten = [record for record in self._unwritten.values() if record.status is not StepStatus.WAITING]
        await self._writer.write(self._work, unwritten)
        for record in unwritten:
            if self._unwritten.get(record.step_id) is record:
                del self._unwritten[record.step_id]

    def unwritten(self) -> Sequence[StepRecord]:
        """What the outcome still has to bring. Of a run that keeps no journal: only what it waits for."""
        return [record for record in self._unwritten.values() if self.is_kept or record.status is StepStatus.WAITING]

    def running(self) -> Sequence[StepRecord]:
        return [record for record in self._records.values() if record.status is StepStatus.RUNNING]

    def waiting(self) -> Sequence[StepRecord]:
        return [record for record in self._records.values() if record.status is StepStatus.WAITING]


class Entry(msgspec.Struct, frozen=True):
    """Some records of one run, and who waits for them. True when they were written, False when the lease is gone."""

    work: Work
    records: Sequence[StepRecord]
    written: "asyncio.Future[bool]"


class JournalWriter:
    """Many runs' records in one statement and one commit."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._batches = Batches(
            self._write_each, name="journal", collect_seconds=COLLECT_SECONDS, size=BATCH, last_words_seconds=1.0
        )

    async def start(self) -> None:
        await self._batches.start()

    async def stop(self) -> None:
        await self._batches.stop()

    async def read(self, work: Work) -> list[StepRecord]:
        rows = await self._pool.fetch(SQL["read_journal"].sql, work.id)
        return [msgspec.convert(dict(row), StepRecord) for row in rows]

    async def write(self, work: Work, records: Sequence[StepRecord]) -> None:
        entry = Entry(work, records, asyncio.get_running_loop().create_future())
        self._batches.add(entry)
        if not await entry.written:
            raise LeaseGone

    async def _write_each(self, batch: list[Entry]) -> None:
        """A record that Postgres will not store must not take its neighbours with it."""
        try:
            held = await retry_transient(lambda: self._write_together(batch), name="write_steps")
        except asyncpg.PostgresError as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            middle = len(batch) // 2
            await self._write_each(batch[:middle])
            await self._write_each(batch[middle:])
            return
        for entry in batch:
            if not entry.written.done():
                entry.written.set_result(_lease_of(entry.work) in held)

    async def _write_together(self, batch: list[Entry]) -> set[Lease]:
        """The leases that still held. Of two of the same run only the newer can: the older one's records stay out."""
        newest: dict[int, Work] = {}
        for entry in batch:
            known = newest.setdefault(entry.work.id.int, entry.work)
            if entry.work.fence > known.fence:
                newest[entry.work.id.int] = entry.work
        # One run's later record of a step stands for the earlier one.
        records = {
            (entry.work.id, record.step_id): record
            for entry in batch
            if newest[entry.work.id.int].fence == entry.work.fence
            for record in entry.records
        }
        found = await self._pool.fetch(
            SQL["write_steps"].sql,
            [work.id for work in newest.values()],
            [work.fence for work in newest.values()],
            *columns_of([(run_id, record) for (run_id, _), record in records.items()])[:9],
        )
        return {(row["id"].int, row["fence"]) for row in found}


def columns_of(rows: Sequence[tuple[Any, StepRecord]]) -> tuple[list[Any], ...]:
    """One array for each column: run_id, step_id, status, attempt, input_digest, output, error, started_at,
    finished_at, wait_kind, wait_seconds."""
    records = [record for _, record in rows]
    return (
        [run_id for run_id, _ in rows],
        [record.step_id for record in records],
        [record.status for record in records],
        [record.attempt for record in records],
        [record.input_digest for record in records],
        [as_element(record.output) for record in records],
        [record.error for record in records],
        [record.started_at for record in records],
        [record.finished_at for record in records],
        [record.wait_kind for record in records],
        [record.wait_seconds for record in records],
    )


def _lease_of(work: Work) -> Lease:
    return work.id.int, work.fence


def _fail(entry: Entry, error: Exception) -> None:
    logger.warning("journal_not_storable", run_id=str(entry.work.id), error=repr(error))
    if not entry.written.done():
        entry.written.set_exception(error)
