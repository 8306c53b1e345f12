"""A whole executor, from a row in the queue to the receiver and back to the run."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import pytest
from aiohttp import web
from redis.asyncio import Redis

from services.executor.settings import ExecutorSettings
from shared.streams.doorbell import Bell, ring
from tests.integration.executor.conftest import run_status, running
from tests.support.receiver import Receiver, receiving
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


async def due_now(pool: asyncpg.Pool, payload: dict[str, object], timeout_seconds: int = 60, retries: int = 3) -> UUID:
    task_id = await make_task(pool, None, payload=payload, timeout_seconds=timeout_seconds, max_retries=retries)
    return await make_due_work(pool, task_id, datetime.now(UTC))


async def test_due_work_calls_its_receiver_once_under_its_key(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id = await due_now(pool, receiver.call())
    async with running(settings):
        await wait_until(lambda: _has_status(pool, run_id, "succeeded"))

    assert receiver.keys == [str(run_id)]
    output = await pool.fetchval("SELECT output FROM task_run")
    assert (output["status"], output["json"]) == (200, {"ok": True})


async def test_the_trace_of_who_asked_reaches_the_receiver(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    task_id = await make_task(pool, None, payload=receiver.call())
    traceparent = f"00-{trace_id}-b7ad6b7169203331-01"
    run_id = await make_due_work(pool, task_id, datetime.now(UTC), traceparent=traceparent)
    async with running(settings):
        await wait_until(lambda: _has_status(pool, run_id, "succeeded"))

    _, seen_trace, seen_parent, flags = receiver.headers[0]["traceparent"].split("-")
    assert (seen_trace, flags) == (trace_id, "01")
    assert seen_parent != "b7ad6b7169203331"
    assert await pool.fetchval("SELECT trace_id FROM task_run") == trace_id


async def test_a_failed_call_is_tried_again_under_the_same_key(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    async def fail(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    receiver.answer = fail
    run_id = await due_now(pool, receiver.call())
    async with running(settings):
        await wait_until(lambda: _has_status(pool, run_id, "retrying"))
        await pool.execute("UPDATE due_work SET run_at = now()")
        await wait_until(lambda: len(receiver.keys) == 2)
        await wait_until(lambda: _has_attempts(pool, 2))

    assert receiver.keys == [str(run_id)] * 2
    assert await pool.fetchval("SELECT error->>'class' FROM task_run") == "http_5xx"


async def test_an_answer_that_says_wrong_is_final(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=422, text="no such colour")

    receiver.answer = refuse
    run_id = await due_now(pool, receiver.call())
    async with running(settings):
        await wait_until(lambda: _has_status(pool, run_id, "failed"))

    assert len(receiver.keys) == 1
    assert await pool.fetchval("SELECT output->>'body' FROM task_run") == "no such colour"


async def test_a_run_that_takes_longer_than_its_timeout_is_cut(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await due_now(pool, receiver.call(), timeout_seconds=1, retries=0)
    async with running(settings):
        await wait_until(lambda: _has_status(pool, run_id, "dead"))
    receiver.may_answer.set()

    assert await pool.fetchval("SELECT error->>'class' FROM task_run") == "timeout"


@pytest.mark.parametrize("payload", [{}, {"pipeline": []}, {"pipeline": [{"id": "a", "uses": "nothing.known"}]}])
async def test_a_payload_that_cannot_be_executed_fails_and_stops_nobody(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver, payload: dict[str, object]
) -> None:
    bad = await due_now(pool, payload or {"else": 1})
    good = await due_now(pool, receiver.call())
    async with running(settings):
        await wait_until(lambda: _has_status(pool, bad, "failed"))
        await wait_until(lambda: _has_status(pool, good, "succeeded"))


async def test_a_stopping_executor_hands_its_work_back_for_another_to_finish(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await due_now(pool, receiver.call())
    async with running(settings):
        await wait_until(lambda: receiver.keys)
    assert await run_status(pool, run_id) == "queued"

    receiver.may_answer.set()
    async with running(settings, "executor-2"):
        await wait_until(lambda: _has_status(pool, run_id, "succeeded"))
    assert receiver.keys == [str(run_id)] * 2
    assert await pool.fetchval("SELECT attempt FROM task_run") == 1


async def test_a_run_is_stopped_when_it_was_asked_to_cancel(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await due_now(pool, receiver.call())
    async with running(msgspec.structs.replace(settings, lease_renew_seconds=0.05)):
        await wait_until(lambda: receiver.keys)
        await pool.execute("UPDATE task_run SET cancel_requested_at = now()")
        await wait_until(lambda: _has_status(pool, run_id, "canceled"))


async def test_a_lost_lease_stops_the_attempt_and_leaves_the_run_to_its_new_owner(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await due_now(pool, receiver.call())
    async with running(msgspec.structs.replace(settings, lease_renew_seconds=0.05)):
        await wait_until(lambda: receiver.keys)
        await pool.execute("UPDATE due_work SET fence = fence + 1, locked_by = 'another'")
        await pool.execute("UPDATE task_run SET lease_owner = 'another'")
        await wait_until(lambda: _slots_are_free(pool, receiver))
    assert await run_status(pool, run_id) == "running"
    assert await pool.fetchval("SELECT locked_by FROM due_work") == "another"


async def test_work_runs_while_redis_is_away(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    away = msgspec.structs.replace(settings, redis_url="redis://127.0.0.1:1/0")
    async with running(away):
        run_id = await due_now(pool, receiver.call())
        await wait_until(lambda: _has_status(pool, run_id, "succeeded"))


async def test_a_bell_that_was_forgotten_by_redis_is_heard_again(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver, redis: Redis
) -> None:
    async with running(settings):
        await wait_until(lambda: redis.exists(Bell.DUE_WORK))
        await redis.flushall()
        await wait_until(lambda: redis.exists(Bell.DUE_WORK))
        run_id = await due_now(pool, receiver.call())
        assert await ring(redis, Bell.DUE_WORK)
        await wait_until(lambda: _has_status(pool, run_id, "succeeded"))


async def _has_status(pool: asyncpg.Pool, run_id: UUID, status: str) -> bool:
    return await run_status(pool, run_id) == status


async def _has_attempts(pool: asyncpg.Pool, attempts: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = $1 FROM run_attempt", attempts))


async def _slots_are_free(pool: asyncpg.Pool, receiver: Receiver) -> bool:
    """Seen from outside: a second piece of work reaches the receiver while the first would still hang."""
    if len(receiver.keys) == 1 and await pool.fetchval("SELECT count(*) FROM due_work") == 1:
        receiver.may_answer.set()
        await due_now(pool, receiver.call())
    return bool(await pool.fetchval("SELECT count(*) FROM task_run WHERE status = 'succeeded'"))
