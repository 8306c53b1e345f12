"""Sealing the audit trail: every entry in exactly one seal, whatever the order of commits."""

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime

import asyncpg
import pytest
import structlog.testing

from services.gateway.audit.chain import Chain
from services.gateway.audit.verifying import Wanted, verify
from services.gateway.audit.wire import FaultKind, Verification
from services.gateway.database import Database
from services.scheduler.sealer import SQL, TURN, Sealer, columns_of, take_in
from shared.audit.chain import FIRST, LEAST, Bounds, make_seal
from shared.audit.form import marks_in
from shared.runtime.loop import Running
from tests.support.trail import INSERT, seal, tamper, write, write_and_seal
from tests.support.waiting import wait_until

WRITERS = 64
SEALED = "SELECT coalesce(sum(entries), 0)::int FROM audit_seal"


async def sealed_seqs(pool: asyncpg.Pool) -> list[int]:
    rows = await pool.fetch("SELECT marks FROM audit_seal ORDER BY number")
    return [mark.seq for row in rows for mark in marks_in(row["marks"])]


async def verified(database_url: str) -> Verification:
    database = Database(database_url, application_name="test", size=2, overflow=0)
    try:
        return await verify(Chain(database.read), Wanted())
    finally:
        await database.close()


async def test_each_entry_of_many_writers_is_in_exactly_one_seal(pool: asyncpg.Pool, database_url: str) -> None:
    sealers = [Running(Sealer(pool)), Running(Sealer(pool))]
    for each in sealers:
        await each.start()
    try:
        await asyncio.gather(*(_write_some(database_url, number) for number in range(WRITERS)))
        written = {row["seq"] for row in await pool.fetch("SELECT seq FROM audit_log")}
        await wait_until(lambda: _is_sealed(pool, len(written)))
    finally:
        for each in sealers:
            await each.stop()

    assert Counter(await sealed_seqs(pool)) == Counter(written)
    assert (await verified(database_url)).faults == []


async def _write_some(database_url: str, number: int) -> None:
    """Transactions of one to three entries that overlap with those of the others; a quarter is rolled back."""
    connection = await asyncpg.connect(database_url)
    try:
        for turn in range(5):
            transaction = connection.transaction()
            await transaction.start()
            for _ in range(1 + (number + turn) % 3):
                await connection.execute(INSERT, str(number), "{}")
            await (transaction.rollback() if (number + turn) % 4 == 0 else transaction.commit())
    finally:
        await connection.close()


async def _is_sealed(pool: asyncpg.Pool, entries: int) -> bool:
    return bool(await pool.fetchval(SEALED) >= entries)


async def test_an_entry_is_sealed_within_two_seconds(pool: asyncpg.Pool) -> None:
    running = Running(Sealer(pool))
    await running.start()
    try:
        await write(pool, "first")
        await wait_until(lambda: _is_sealed(pool, 1))
        began = time.monotonic()
        await write(pool, "second")
        await wait_until(lambda: _is_sealed(pool, 2))
        assert time.monotonic() - began < 2
    finally:
        await running.stop()


async def test_a_transaction_that_commits_late_is_in_a_later_seal(pool: asyncpg.Pool, database_url: str) -> None:
    async with pool.acquire() as late, late.transaction():
        slow = await late.fetchval(INSERT, "slow", {})
        (fast,) = await write(pool, "fast")
        await seal(pool)
        assert await sealed_seqs(pool) == []
    await seal(pool)
    assert await sealed_seqs(pool) == [slow, fast]
    assert (await verified(database_url)).is_valid


async def test_what_was_rolled_back_leaves_a_gap_that_is_no_fault(pool: asyncpg.Pool, database_url: str) -> None:
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.fetchval(INSERT, "never", {})
        await transaction.rollback()
    await write_and_seal(pool, ["a"], ["b"])
    answer = await verified(database_url)
    assert (answer.is_valid, answer.seals, answer.entries) == (True, 2, 2)


async def test_two_sealers_at_once_make_one_chain(pool: asyncpg.Pool, database_url: str) -> None:
    await write(pool, *"abcdef")
    sealers = [Sealer(pool, 2) for _ in range(6)]
    await asyncio.gather(*(sealer.run_once() for sealer in sealers))
    await seal(pool, 2)
    assert await pool.fetchval("SELECT array_agg(number ORDER BY number) FROM audit_seal") == [1, 2, 3]
    assert (await verified(database_url)).is_valid


async def test_nobody_waits_for_a_sealer_that_is_at_it(pool: asyncpg.Pool) -> None:
    await write(pool, "a")
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", TURN)
        assert (await Sealer(pool).run_once()).number is None
        await write(pool, "b")
    assert (await Sealer(pool).run_once()).entries == 2


async def test_one_transaction_of_many_entries_is_cut_into_seals(pool: asyncpg.Pool, database_url: str) -> None:
    await pool.execute(
        "INSERT INTO audit_log (actor_name, action, subject_type, subject_id) "
        "SELECT 'a', 'task.paused', 'task', n::text FROM generate_series(1, 25) n"
    )
    await seal(pool, 10)
    assert await pool.fetchval("SELECT array_agg(entries ORDER BY number) FROM audit_seal") == [10, 10, 5]
    assert (await verified(database_url)).is_valid


async def test_where_nothing_was_written_nothing_is_sealed(pool: asyncpg.Pool) -> None:
    await write_and_seal(pool, ["a"])
    sealed = await Sealer(pool).run_once()
    assert (sealed.number, sealed.pause_seconds) == (None, 0.5)
    assert await pool.fetchval("SELECT count(*) FROM audit_seal") == 1


async def test_a_seal_leaves_its_hash_in_the_log(pool: asyncpg.Pool) -> None:
    await write(pool, "a")
    with structlog.testing.capture_logs() as lines:
        await Sealer(pool).run_once()
    row = await pool.fetchrow("SELECT number, hash FROM audit_seal")
    assert row is not None
    assert [(line["event"], line["seal"], line["hash"]) for line in lines] == [("audit_sealed", 1, row["hash"].hex())]


async def test_a_sealer_complains_when_the_seal_that_it_saw_last_is_gone(pool: asyncpg.Pool) -> None:
    await write(pool, "a")
    sealer = Sealer(pool)
    await sealer.run_once()
    await tamper(pool, "DELETE FROM audit_seal")
    with structlog.testing.capture_logs() as lines:
        await sealer.run_once()
    assert [line["event"] for line in lines] == ["audit_chain_broken", "audit_sealed"]


@pytest.mark.parametrize(
    "change", ["UPDATE audit_seal SET entries = 0", "DELETE FROM audit_seal", "TRUNCATE audit_seal"]
)
async def test_seals_refuse_every_change(pool: asyncpg.Pool, change: str) -> None:
    await write_and_seal(pool, ["a"])
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await pool.execute(change)


async def test_entries_from_before_there_were_seals_are_sealed_first(pool: asyncpg.Pool, database_url: str) -> None:
    (new,) = await write(pool, "new")
    await tamper(
        pool,
        "INSERT INTO audit_log (xid, actor_name, action, subject_type, subject_id) "
        "SELECT 0, 'a', 'task.created', 'task', n::text FROM generate_series(1, 3) n",
    )
    await seal(pool)
    seqs = await sealed_seqs(pool)
    assert seqs == [new + 1, new + 2, new + 3, new]
    assert (await verified(database_url)).is_valid


async def fake_elsewhere(pool: asyncpg.Pool, upto_xid: int) -> None:
    """As if the entries so far had been sealed by another cluster, which had come up to this transaction."""
    await tamper(pool, "UPDATE audit_log SET xid = $1::bigint - 10", upto_xid)
    bounds = Bounds(era=1, cluster=4711, start=FIRST, end=(upto_xid, LEAST))
    async with pool.acquire() as connection, connection.transaction():
        batch = await take_in(connection, bounds, 1000)
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    await pool.execute(SQL["insert_seal"].sql, *columns_of(make_seal(None, bounds, batch, now)))


@pytest.mark.parametrize("upto_xid", [100, 10**12])
async def test_in_another_cluster_a_new_era_begins(pool: asyncpg.Pool, database_url: str, upto_xid: int) -> None:
    """Its transactions may have lower numbers than those that were sealed, or higher ones."""
    old = await write(pool, "a", "b")
    await fake_elsewhere(pool, upto_xid)
    left_over = await pool.fetchval(
        "INSERT INTO audit_log (xid, actor_name, action, subject_type, subject_id) "
        "VALUES ($1::bigint + 5, 'a', 'task.created', 'task', 'left') RETURNING seq",
        upto_xid,
    )
    new = await write(pool, "c", "d")
    await seal(pool)
    newer = (await write_and_seal(pool, ["e"]))[0]

    assert await sealed_seqs(pool) == [*old, left_over, *new, *newer]
    assert await pool.fetchval("SELECT array_agg(era ORDER BY number) FROM audit_seal") == [1, 1, 2, 2]
    answer = await verified(database_url)
    assert (answer.faults, answer.entries) == ([], 6)


async def test_what_is_forged_among_old_numbers_is_found_in_a_new_era_too(
    pool: asyncpg.Pool, database_url: str
) -> None:
    await write(pool, "a", "b")
    await fake_elsewhere(pool, 10**12)
    await write(pool, "c")
    await seal(pool)
    await tamper(
        pool,
        "INSERT INTO audit_log (xid, seq, actor_name, action, subject_type, subject_id) OVERRIDING SYSTEM VALUE "
        "VALUES (7, -3, 'a', 'task.created', 'task', 'forged')",
    )
    answer = await verified(database_url)
    assert [(fault.kind, fault.seal, fault.seq) for fault in answer.faults] == [(FaultKind.INSERTED, 1, -3)]
