"""Runs that are asked to stop: those that run here, those that nobody holds, and how an executor hears of it."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from deploy.local.valkey import EmbeddedValkey
from services.executor.cancelling import CancelWatch, Looked
from services.executor.lease import LeaseKeeper, StopReason
from services.executor.settings import ExecutorSettings
from shared.runtime.listening import Listening
from shared.runtime.loop import Running
from shared.streams.broadcast import Broadcast, Receiver, announce
from shared.streams.client import open_redis
from tests.integration.executor.conftest import run_status, running
from tests.integration.executor.test_lease import claim, hold
from tests.support.receiver import Receiver as HttpReceiver
from tests.support.receiver import receiving
from tests.support.rows import make_due_work, make_task
from tests.support.runs import release_run, work_of
from tests.support.waiting import wait_until

ASK = "UPDATE task_run SET cancel_requested_at = now() WHERE id = $1"
NOBODY_LISTENS = "redis://127.0.0.1:1"
TARGET_SECONDS = 1.0


@pytest.fixture
def leases(pool: asyncpg.Pool) -> LeaseKeeper:
    return LeaseKeeper(pool, lease_seconds=30, renew_seconds=10)


@pytest.fixture
def watch(pool: asyncpg.Pool, leases: LeaseKeeper) -> CancelWatch:
    return CancelWatch(pool, leases)


async def make_work(pool: asyncpg.Pool) -> UUID:
    return await make_due_work(pool, await make_task(pool, None), datetime.now(UTC))


async def test_what_runs_here_and_was_asked_to_stop_is_stopped_and_nothing_else(
    pool: asyncpg.Pool, leases: LeaseKeeper, watch: CancelWatch
) -> None:
    await make_work(pool)
    asked = hold(leases, await claim(pool))
    await make_work(pool)
    other = hold(leases, await claim(pool))
    assert (await watch.run_once()).stopped == 0
    await pool.execute(ASK, asked.work.id)
    assert (await watch.run_once()).stopped == 1
    assert (asked.stop_reason, other.stop_reason) == (StopReason.CANCEL_REQUESTED, None)
    for held in (asked, other):
        assert held.job is not None
        held.job.cancel()


async def test_what_somebody_else_holds_is_left_to_him(pool: asyncpg.Pool, watch: CancelWatch) -> None:
    await make_work(pool)
    work = await claim(pool)
    await pool.execute(ASK, work.id)
    looked = await watch.run_once()
    assert (looked.stopped, looked.released) == (0, 0)
    assert await run_status(pool, work.id) == "running"


@pytest.mark.parametrize("status", ["waiting", "retrying"])
async def test_a_run_that_was_let_go_before_it_was_told_ends_all_the_same(
    pool: asyncpg.Pool, watch: CancelWatch, status: str
) -> None:
    await make_work(pool)
    work = await claim(pool)
    await pool.execute(ASK, work.id)
    await release_run(pool, work.id, status)
    assert (await watch.run_once()).released == 1
    run = await pool.fetchrow("SELECT status, success, finished_at, error FROM task_run WHERE id = $1", work.id)
    assert run is not None
    assert (run["status"], run["success"], run["error"]["class"]) == ("canceled", None, "canceled")
    assert await work_of(pool, work.id) is None


async def test_executors_at_once_end_a_run_once(pool: asyncpg.Pool, leases: LeaseKeeper) -> None:
    await make_work(pool)
    work = await claim(pool)
    await pool.execute(ASK, work.id)
    await release_run(pool, work.id, "waiting")
    looked = await asyncio.gather(*(CancelWatch(pool, leases).run_once() for _ in range(6)))
    assert sum(each.released for each in looked) == 1


async def test_every_receiver_hears_what_is_announced(redis: Redis) -> None:
    receivers = [Receiver(redis, Broadcast.CANCELS) for _ in range(3)]
    for receiver in receivers:
        assert not await receiver.heard(0.01)
    assert await announce(redis, Broadcast.CANCELS)
    assert [await receiver.heard(1) for receiver in receivers] == [True] * 3
    assert not await receivers[0].heard(0.01)


async def test_what_was_announced_before_the_first_look_is_not_heard(redis: Redis) -> None:
    await announce(redis, Broadcast.CANCELS)
    assert not await Receiver(redis, Broadcast.CANCELS).heard(0.01)


async def test_a_receiver_goes_on_after_redis_was_emptied(redis: Redis) -> None:
    receiver = Receiver(redis, Broadcast.CANCELS)
    await announce(redis, Broadcast.CANCELS)
    await receiver.heard(0.01)
    await redis.flushall()
    await announce(redis, Broadcast.CANCELS)
    assert await receiver.heard(1)


async def test_without_redis_nothing_is_heard_and_nothing_breaks() -> None:
    away = open_redis(NOBODY_LISTENS)
    assert not await Receiver(away, Broadcast.CANCELS).heard(0.01)
    assert not await announce(away, Broadcast.CANCELS)
    await away.aclose()


async def test_the_stream_keeps_no_more_than_it_needs(redis: Redis) -> None:
    for _ in range(20):
        await asyncio.gather(*(announce(redis, Broadcast.CANCELS) for _ in range(100)))
    assert await redis.xlen(Broadcast.CANCELS) < 1500


class Patient(CancelWatch):
    """Looks again only when it is woken."""

    async def run_once(self) -> Looked:
        return msgspec.structs.replace(await super().run_once(), pause_seconds=3600)


async def test_a_broadcast_wakes_the_watch(pool: asyncpg.Pool, redis: Redis, leases: LeaseKeeper) -> None:
    await make_work(pool)
    held = hold(leases, await claim(pool))
    watching = Running(Patient(pool, leases))
    listening = Running(Listening(Receiver(redis, Broadcast.CANCELS), watching.wake))
    for part in (watching, listening):
        await part.start()
    try:
        await pool.execute(ASK, held.work.id)

        async def is_stopped() -> bool:
            # The first message may come before anybody listens.
            await announce(redis, Broadcast.CANCELS)
            return held.stop_reason is StopReason.CANCEL_REQUESTED

        await wait_until(is_stopped)
    finally:
        for part in (listening, watching):
            await part.stop()


@pytest.mark.parametrize("is_redis_there", [True, False])
async def test_a_running_run_is_canceled_within_a_second(
    pool: asyncpg.Pool, settings: ExecutorSettings, valkey: EmbeddedValkey, is_redis_there: bool
) -> None:
    took = []
    async with receiving() as receiver, running(settings):
        receiver.may_answer.clear()
        redis = open_redis(valkey.url())
        for _ in range(5):
            run_id = await _start_run(pool, receiver)
            asked_at = time.monotonic()
            await pool.execute(ASK, run_id)
            if is_redis_there:
                await announce(redis, Broadcast.CANCELS)
            await wait_until(partial(_is_canceled, pool, run_id))
            took.append(time.monotonic() - asked_at)
        await redis.aclose()
        receiver.may_answer.set()
    assert max(took) < TARGET_SECONDS, took


async def _start_run(pool: asyncpg.Pool, receiver: HttpReceiver) -> UUID:
    before = len(receiver.arrivals)
    task_id = await make_task(pool, None, payload=receiver.call())
    run_id = await make_due_work(pool, task_id, datetime.now(UTC))
    await wait_until(lambda: len(receiver.arrivals) > before)
    return run_id


async def _is_canceled(pool: asyncpg.Pool, run_id: UUID) -> bool:
    return await run_status(pool, run_id) == "canceled"
