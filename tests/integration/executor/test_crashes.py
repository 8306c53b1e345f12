"""An executor is killed at each point where it matters; the receiver, which counts by key, tells what came of it."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import pytest

from services.executor.settings import ExecutorSettings
from tests.integration.executor.conftest import TOKEN_KEY, running
from tests.support.receiver import Receiver, receiving
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

TAKE_OVER_SECONDS = 60.0
SHORT_LEASE = {"lease_seconds": 7.0, "lease_renew_seconds": 1.0}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


@contextlib.asynccontextmanager
async def process(settings: ExecutorSettings, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {
        **os.environ,
        "PAO_DATABASE_URL": settings.database_url,
        "PAO_REDIS_URL": settings.redis_url,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_OUTBOUND_ALLOW": settings.outbound_allow,
        "PAO_LEASE_SECONDS": str(SHORT_LEASE["lease_seconds"]),
        "PAO_LEASE_RENEW_SECONDS": str(SHORT_LEASE["lease_renew_seconds"]),
    }
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGKILL)
        await started.wait()


def short_lived(settings: ExecutorSettings) -> ExecutorSettings:
    return msgspec.structs.replace(settings, **SHORT_LEASE)


async def two_steps(pool: asyncpg.Pool, receiver: Receiver) -> UUID:
    steps = [{"id": name, "uses": "http.request", "with": {"url": receiver.url}} for name in ("first", "second")]
    task_id = await make_task(pool, None, payload={"pipeline": steps})
    return await make_due_work(pool, task_id, datetime.now(UTC))


def has_seen(receiver: Receiver, count: int) -> bool:
    return len(receiver.keys) >= count


async def is_ended(pool: asyncpg.Pool, run_id: UUID) -> bool:
    return bool(await pool.fetchval("SELECT finished_at IS NOT NULL FROM task_run WHERE id = $1", run_id))


@pytest.mark.parametrize(
    ("point", "deliveries"),
    [
        ("claim", {"first": 1, "second": 1}),
        ("step_sent", {"first": 2, "second": 1}),
        ("step_recorded", {"first": 1, "second": 1}),
        ("outcome_recorded", {"first": 1, "second": 1}),
    ],
)
async def test_no_finished_step_is_repeated_and_there_is_one_outcome(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver, point: str, deliveries: dict[str, int]
) -> None:
    run_id = await two_steps(pool, receiver)
    async with process(settings, "tests.support.crashing_executor", point) as doomed:
        assert await doomed.wait() == -signal.SIGKILL
    async with running(short_lived(settings)):
        await wait_until(lambda: is_ended(pool, run_id), TAKE_OVER_SECONDS)
        await wait_until(lambda: _no_work_waits(pool))

    assert receiver.deliveries() == {f"{run_id}:{step}": count for step, count in deliveries.items()}
    runs = await pool.fetch("SELECT id, status, success FROM task_run")
    assert [tuple(run) for run in runs] == [(run_id, "succeeded", True)]


async def test_the_late_write_of_an_executor_that_was_stopped_past_its_lease_is_refused(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await two_steps(pool, receiver)
    async with process(settings, "services.executor") as stopped:
        await wait_until(lambda: len(receiver.keys) == 1)
        stopped.send_signal(signal.SIGSTOP)
        receiver.may_answer.set()
        async with running(short_lived(settings), "executor-2"):
            await wait_until(lambda: is_ended(pool, run_id), TAKE_OVER_SECONDS)
            (before,) = await pool.fetch("SELECT * FROM task_run WHERE id = $1", run_id)
            stopped.send_signal(signal.SIGCONT)
            await wait_until(lambda: _has_spoken(pool))
    (after,) = await pool.fetch("SELECT * FROM task_run WHERE id = $1", run_id)

    assert before == after
    assert (after["status"], after["lease_owner"], after["attempt"]) == ("succeeded", "executor-2", 2)
    assert receiver.deliveries() == {f"{run_id}:first": 2, f"{run_id}:second": 1}


async def test_a_payload_that_kills_its_executor_twice_is_quarantined_and_its_neighbours_are_not(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    """Both executors die of it in the middle of the call; the neighbours were in flight beside it each time."""
    receiver.may_answer.clear()
    poison = await _single(pool, receiver)
    neighbours = [await _single(pool, receiver) for _ in range(3)]
    for deaths in (1, 2):
        async with process(settings, "services.executor") as doomed:
            expected = len(receiver.keys) + (4 if deaths == 1 else 1)
            await wait_until(partial(has_seen, receiver, expected), TAKE_OVER_SECONDS)
            doomed.send_signal(signal.SIGKILL)
            await doomed.wait()
        await pool.execute("UPDATE due_work SET locked_until = now()")
    blamed = await pool.fetch("SELECT id FROM due_work WHERE unended_starts = 2")
    receiver.may_answer.set()
    async with running(short_lived(settings)):
        await wait_until(lambda: _no_work_waits(pool), TAKE_OVER_SECONDS)

    assert len(blamed) == 1, "only the one that ran alone can be blamed"
    rows = await pool.fetch("SELECT id, status FROM task_run")
    statuses = {row["id"]: row["status"] for row in rows}
    assert statuses.pop(blamed[0]["id"]) == "dead"
    assert set(statuses.values()) == {"succeeded"}
    assert {poison, *neighbours} == {row["id"] for row in rows}


async def _single(pool: asyncpg.Pool, receiver: Receiver) -> UUID:
    task_id = await make_task(pool, None, payload=receiver.call(), max_retries=10)
    return await make_due_work(pool, task_id, datetime.now(UTC))


async def _no_work_waits(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = 0 FROM due_work"))


async def _has_spoken(pool: asyncpg.Pool) -> bool:
    """The one that was stopped is alive again: its heartbeat is newer than the stop."""
    return bool(
        await pool.fetchval(
            "SELECT count(*) >= 1 FROM worker_heartbeat "
            "WHERE instance <> 'executor-2' AND beat_at > now() - interval '1 s'"
        )
    )
