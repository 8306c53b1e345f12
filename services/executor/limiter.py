"""Asks for work that something limits whether it may start, and does what the answer says."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import structlog

from services.executor.admission import (
    Delay,
    Expire,
    Facts,
    Hold,
    Holder,
    RateLimit,
    Skip,
    Standing,
    Start,
    Verdict,
    Withdraw,
    is_serial,
)
from services.executor.batches import Batches
from services.executor.work import Work, known_word
from shared.database.pool import Connection
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.vocabulary.limits import BUFFERED_RUNS
from shared.vocabulary.states import ErrorClass, OverlapPolicy, RunStatus, SkipReason, Source, TaskStatus

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/limits.sql")
# What one claim brings arrives together.
COLLECT_SECONDS = 0.001
BATCH = 200


STATUSES = MappingProxyType({Skip: RunStatus.SKIPPED, Withdraw: RunStatus.CANCELED, Expire: RunStatus.EXPIRED})


class Asked(msgspec.Struct, frozen=True):
    work: Work
    answer: "asyncio.Future[Work | None]"


class Limiter:
    """Many rows in one transaction: the locks of their tasks and keys, what is so, the decisions, the writes."""

    def __init__(self, pool: asyncpg.Pool, instance: str) -> None:
        self._pool = pool
        self._instance = instance
        self._batches = Batches(
            self._answer, name="limiter", collect_seconds=COLLECT_SECONDS, size=BATCH, last_words_seconds=1.0
        )
        self._absolved = Batches(
            self._absolve, name="absolver", collect_seconds=COLLECT_SECONDS, size=BATCH, last_words_seconds=1.0
        )
        self.on_decided: Callable[[Sequence[tuple[Facts, Verdict]]], None] = _nobody_listens

    async def start(self) -> None:
        await self._batches.start()
        await self._absolved.start()

    async def stop(self) -> None:
        await self._batches.stop()
        await self._absolved.stop()

    async def admit(self, work: Work) -> Work | None:
        """The same work, started; or None when it was put back or has its outcome. Raises asyncpg.PostgresError."""
        asked = Asked(work, asyncio.get_running_loop().create_future())
        self._batches.add(asked)
        return await asked.answer

    def absolve(self, work: Work) -> None:
        """Its lease was lost, its executor was not. Said as soon as the database can hear it."""
        self._absolved.add(work)

    async def _absolve(self, batch: list[Work]) -> None:
        await self._pool.execute(SQL["absolve"].sql, [work.id for work in batch], [work.fence for work in batch])

    async def _answer(self, batch: list[Asked]) -> None:
        """What cannot be decided for all is decided for each; what cannot even so keeps its lease until it runs out."""
        try:
            started = await retry_transient(lambda: self._decide_again([each.work for each in batch]), name="limits")
        except asyncpg.PostgresError as error:
            logger.warning("limits_not_decided", works=len(batch), error=repr(error))
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            middle = len(batch) // 2
            await self._answer(batch[:middle])
            await self._answer(batch[middle:])
            return
        for each in batch:
            if not each.answer.done():
                each.answer.set_result(started.get(each.work.id))

    async def _decide_again(self, works: Sequence[Work]) -> dict[UUID, Work]:
        """A claim may begin a run of the same task between our look and our write: the second look sees it."""
        try:
            return await self._decide(works)
        except asyncpg.UniqueViolationError:
            return await self._decide(works)

    async def _decide(self, works: Sequence[Work]) -> dict[UUID, Work]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(SQL["lock_limits"].sql, [_number(work.task_id.bytes) for work in works])
            rows = await connection.fetch(
                SQL["read_limits"].sql, [work.id for work in works], [work.fence for work in works]
            )
            if not rows:
                return {}
            facts = await _facts_of(connection, rows)
            await self._lock_keys(connection, facts)
            standing = await _standing(connection, facts, rows[0]["now"])
            verdicts = [(each, standing.judge(each)) for each in facts]
            started = await self._start(connection, verdicts)
            await _write(connection, verdicts, standing)
        _tell(verdicts)
        self.on_decided(verdicts)
        by_id = {work.id: work for work in works}
        return {row["id"]: _started(by_id[row["id"]], row) for row in started}

    async def _lock_keys(self, connection: Connection, facts: Sequence[Facts]) -> None:
        """After the tasks, as everybody does."""
        slots = {each.slot for each in facts if each.slot is not None}
        if slots:
            numbers = [_number(agent_id.bytes + key.encode()) for agent_id, key in slots]
            await connection.execute(SQL["lock_limits"].sql, numbers)

    async def _start(
        self, connection: Connection, verdicts: Sequence[tuple[Facts, Verdict]]
    ) -> Sequence[asyncpg.Record]:
        starts = [(facts.id, verdict) for facts, verdict in verdicts if isinstance(verdict, Start)]
        if not starts:
            return []
        rows: Sequence[asyncpg.Record] = await connection.fetch(
            SQL["start_admitted"].sql,
            [run_id for run_id, _ in starts],
            [start.serial_key for _, start in starts],
            [start.holds_slot for _, start in starts],
            self._instance,
        )
        return rows


def _nobody_listens(_decided: Sequence[tuple[Facts, Verdict]]) -> None:
    return None


async def _standing(connection: Connection, facts: Sequence[Facts], now: datetime) -> Standing:
    holders = await connection.fetch(SQL["read_holders"].sql, [each.task_id for each in facts if is_serial(each)])
    held = {row["task_id"]: _holder_of(row) for row in holders}
    slots = await _by_key(connection, "count_slots", {each.slot for each in facts if each.slot})
    wanted = {each.window for each in facts if each.window}
    if wanted:
        await connection.execute(SQL["make_windows"].sql, *_split(wanted))
    windows = await _by_key(connection, "lock_windows", wanted)
    counted = sorted({each.agent_id for each in facts if each.counts_for_day})
    days = await connection.fetch(SQL["lock_days"].sql, counted) if counted else []
    return Standing(
        now,
        held,
        {key: row["used"] for key, row in slots.items()},
        {key: row["starts"] for key, row in windows.items()},
        {row["agent_id"]: row["runs"] for row in days},
    )


async def _by_key(
    connection: Connection, statement: str, keys: set[tuple[UUID, str]]
) -> dict[tuple[UUID, str], asyncpg.Record]:
    if not keys:
        return {}
    rows = await connection.fetch(SQL[statement].sql, *_split(keys))
    return {(row[0], row[1]): row for row in rows}


def _split(keys: set[tuple[UUID, str]]) -> tuple[list[UUID], list[str]]:
    ordered = sorted(keys)
    return [agent_id for agent_id, _ in ordered], [key for _, key in ordered]


async def _write(connection: Connection, verdicts: Sequence[tuple[Facts, Verdict]], standing: Standing) -> None:
    """All that is not a start."""
    back = [(facts.id, verdict) for facts, verdict in verdicts if isinstance(verdict, Hold | Delay)]
    if back:
        await connection.execute(
            SQL["put_back"].sql,
            [run_id for run_id, _ in back],
            [verdict.seconds if isinstance(verdict, Hold) else None for _, verdict in back],
            [verdict.until if isinstance(verdict, Delay) else None for _, verdict in back],
        )
    settled = [(facts, verdict) for facts, verdict in verdicts if isinstance(verdict, Skip | Withdraw | Expire)]
    if settled:
        await connection.execute(SQL["settle_unstarted"].sql, *_settled_columns(settled))
    left = {facts.task_id for facts, verdict in verdicts if _is_out_of_line(verdict)}
    if left:
        await connection.execute(SQL["let_go"].sql, sorted(left))
    for (agent_id, key), starts in standing.windows.items():
        await connection.execute(SQL["write_window"].sql, agent_id, key, starts)
    if standing.runs_of_day:
        await connection.execute(SQL["write_days"].sql, list(standing.runs_of_day), list(standing.runs_of_day.values()))
    await _replace(connection, verdicts)


async def _replace(connection: Connection, verdicts: Sequence[tuple[Facts, Verdict]]) -> None:
    """The newest occurrence of a task that lets nothing else run beside it."""
    newest = {
        facts.task_id: facts
        for facts, verdict in verdicts
        if facts.overlap_policy is OverlapPolicy.CANCEL_OTHER and isinstance(verdict, Hold) and not facts.is_started
    }
    if not newest:
        return
    holders = await connection.fetch(SQL["read_holders"].sql, list(newest))
    await connection.execute(SQL["ask_holders_to_stop"].sql, [row["id"] for row in holders])
    await connection.fetch(SQL["replace_waiting"].sql, list(newest), [facts.id for facts in newest.values()])


def _is_out_of_line(verdict: Verdict) -> bool:
    """Not because of another run of its task, whose end will let the next one go."""
    return isinstance(verdict, Withdraw | Expire) or verdict == Skip(SkipReason.QUOTA_EXCEEDED)


def _settled_columns(settled: Sequence[tuple[Facts, Skip | Withdraw | Expire]]) -> tuple[list[Any], ...]:
    return (
        [facts.id for facts, _ in settled],
        [STATUSES[type(verdict)] for _, verdict in settled],
        [None if isinstance(verdict, Expire) else verdict.reason for _, verdict in settled],
        [_expired(verdict) if isinstance(verdict, Expire) else None for _, verdict in settled],
    )


def _expired(verdict: Expire) -> dict[str, Any]:
    message = f"It could not begin within {verdict.after_seconds} s of its time."
    return {"class": ErrorClass.TIMEOUT.value, "message": message, "retryable": False, "step": None, "attempt": 0}


def _holder_of(row: asyncpg.Record) -> Holder:
    return Holder(row["id"], row["started_at"], row["seen_at"], row["lost_at"])


async def _facts_of(connection: Connection, rows: Sequence[asyncpg.Record]) -> list[Facts]:
    """The most urgent first, and then in the order in which they came due."""
    tasks = list({row["task_id"] for row in rows})
    counted = await connection.fetch(SQL["count_waiting"].sql, tasks, BUFFERED_RUNS)
    waiting = {row["task_id"]: row["waiting"] for row in counted}
    ordered = sorted(rows, key=lambda row: (row["priority"], row["run_at"], row["id"]))
    return [_fact_of(row, waiting[row["task_id"]]) for row in ordered]


def _fact_of(row: asyncpg.Record, waiting: int) -> Facts:
    """A word that a newer version wrote, or somebody by hand, must not keep the neighbours from running."""
    columns = {name: row[name] for name in Facts.__struct_fields__ if name != "waiting"}
    columns["source"] = known_word(Source, row["source"], Source.MANUAL)
    columns["task_status"] = known_word(TaskStatus, row["task_status"], TaskStatus.ACTIVE)
    columns["overlap_policy"] = known_word(OverlapPolicy, row["overlap_policy"], OverlapPolicy.SKIP)
    columns["rate_limit"] = _rate_of(row["rate_limit"])
    return Facts(**columns, waiting=waiting)


def _rate_of(value: object) -> RateLimit | None:
    try:
        return msgspec.convert(value, RateLimit | None)
    except msgspec.ValidationError as error:
        logger.warning("rate_limit_unreadable", error=str(error))
        return None


def _started(work: Work, row: asyncpg.Record) -> Work:
    return msgspec.structs.replace(
        work,
        is_admitted=True,
        attempt=row["attempt"],
        is_cancel_requested=row["is_cancel_requested"],
        unended_starts=row["unended_starts"],
    )


def _fail(asked: Asked, error: Exception) -> None:
    if not asked.answer.done():
        asked.answer.set_exception(error)


def _number(name: bytes) -> int:
    return int.from_bytes(hashlib.sha256(name).digest()[:8], "big", signed=True)


def _tell(verdicts: Sequence[tuple[Facts, Verdict]]) -> None:
    for facts, verdict in verdicts:
        if isinstance(verdict, Skip | Withdraw | Expire):
            reason = "expired" if isinstance(verdict, Expire) else verdict.reason.value
            logger.info("run_not_started", run_id=str(facts.id), task_id=str(facts.task_id), reason=reason)
