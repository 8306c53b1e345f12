"""Whoever follows runs is told of them by the executor: in batches, and only while somebody listens."""

from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from services.executor.settings import ExecutorSettings
from shared.runtime.run_updates import RunUpdates
from shared.streams.client import open_redis
from shared.streams.run_updates import STREAM, WANTED, RunChange, RunUpdateTail, want
from tests.integration.executor.conftest import running
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

RUNS = 60
PAYLOAD = {"pipeline": [{"id": "one", "uses": "transform", "with": {"value": 1}}]}
ARE_DONE = "SELECT count(*) = $1 FROM task_run WHERE success"


async def drain(pool: asyncpg.Pool, task_id: UUID, runs: int, done: int) -> list[UUID]:
    made = [await make_due_work(pool, task_id, datetime.now(UTC)) for _ in range(runs)]
    await wait_until(lambda: pool.fetchval(ARE_DONE, done))
    return made


@pytest.mark.parametrize("key", [None, "a"])
async def test_starts_and_outcomes_are_told_while_somebody_listens(
    pool: asyncpg.Pool, redis: Redis, settings: ExecutorSettings, key: str | None
) -> None:
    """What a limit may make stand back is begun by another statement."""
    task_id = await make_task(pool, None, payload=PAYLOAD, concurrency_key=key, concurrency_limit=RUNS)
    agent_id = await pool.fetchval("SELECT agent_id FROM task WHERE id = $1", task_id)
    async with running(settings):
        await drain(pool, task_id, 1, 1)
        assert not await redis.exists(STREAM)
        # As long as this test runs.
        await redis.set(WANTED, b"1")
        tail, heard = RunUpdateTail(redis), list[RunChange]()
        assert await tail.heard(0.01) == []

        async def is_heard(change: RunChange) -> bool:
            if change not in heard:
                heard.extend(await tail.heard(0.05))
            return change in heard

        done = 1
        # Until the executor has noticed, which takes a second at most.
        while not await redis.exists(STREAM):
            done += 1
            await drain(pool, task_id, 1, done)
        made = [await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key=key) for _ in range(RUNS)]
        for run_id in made:
            for status in ("running", "succeeded"):
                await wait_until(partial(is_heard, RunChange(run_id, agent_id, status)))
        assert await redis.xlen(STREAM) < RUNS


async def test_nothing_is_kept_of_what_nobody_wants_to_know_nor_of_too_much(redis: Redis) -> None:
    updates = RunUpdates(redis)
    change = RunChange(UUID(int=1), None, "running")
    updates.tell([change])
    await want(redis)
    assert (await updates.run_once()).runs == 0
    for _ in range(30):
        updates.tell([change] * 1000)
    told = 0
    while runs := (await updates.run_once()).runs:
        told += runs
    assert (told, await redis.xlen(STREAM)) == (10_000, 10)


async def test_without_redis_nothing_is_kept_either() -> None:
    away = open_redis("redis://127.0.0.1:1")
    updates = RunUpdates(away)
    assert (await updates.run_once()).runs == 0
    updates.tell([RunChange(UUID(int=1), None, "running")])
    await updates.stop()
    await away.aclose()
