"""An agent begins as many runs per day as it may; every further occurrence has an outcome that says why."""

from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from services.executor.claimer import Claimer
from services.executor.settings import ExecutorSettings
from tests.integration.executor.conftest import running
from tests.integration.executor.test_limits import NoSlots, is_drained
from tests.support.receiver import receiving
from tests.support.rows import make_agent, make_due_work, make_task
from tests.support.waiting import wait_until

TODAY = "SELECT runs FROM agent_day WHERE agent_id = $1 AND day = (now() AT TIME ZONE 'UTC')::date"


async def _limited(pool: asyncpg.Pool, runs_per_day: int) -> UUID:
    agent_id = await make_agent(pool)
    await pool.execute(
        "UPDATE agent SET limits = jsonb_build_object('runs_per_day', $2::int) WHERE id = $1", agent_id, runs_per_day
    )
    return agent_id


async def _outcomes(pool: asyncpg.Pool, agent_id: UUID) -> Counter[str]:
    rows = await pool.fetch("SELECT coalesce(skip_reason, status) AS told FROM task_run WHERE agent_id = $1", agent_id)
    return Counter(row["told"] for row in rows)


async def test_what_is_beyond_the_day_is_skipped_and_says_so(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    async with receiving() as receiver, running(settings), running(settings, "executor-2"):
        agent_id, free = await _limited(pool, 4), await make_agent(pool)
        for owner in (agent_id, free):
            for _ in range(3):
                task_id = await make_task(pool, None, payload=receiver.call(), agent_id=owner)
                for _ in range(3):
                    await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: is_drained(pool))
        await wait_until(lambda: _is_recorded(pool, agent_id, 9))
        assert await _outcomes(pool, agent_id) == {"succeeded": 4, "quota_exceeded": 5}
        assert await _outcomes(pool, free) == {"succeeded": 9}
        assert await pool.fetchval(TODAY, agent_id) == 4
        assert await pool.fetchval("SELECT count(*) FROM agent_day") == 1


async def test_a_run_counts_once_however_often_it_is_tried(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    async with receiving() as receiver, running(settings):
        agent_id = await _limited(pool, 1)
        left = [503, 503, 200]

        async def answer(_request: web.Request) -> web.StreamResponse:
            return web.Response(status=left.pop(0))

        receiver.answer = answer
        task_id = await make_task(
            pool, None, payload=receiver.call(), agent_id=agent_id, max_retries=3, backoff_strategy="fixed"
        )
        await make_due_work(pool, task_id, datetime.now(UTC))

        async def is_hurried_along() -> bool:
            await pool.execute("UPDATE due_work SET run_at = now() WHERE locked_until IS NULL")
            return (await _outcomes(pool, agent_id))["succeeded"] == 1

        await wait_until(is_hurried_along)
        assert await pool.fetchval(TODAY, agent_id) == 1


async def test_the_next_day_begins_anew(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    async with receiving() as receiver, running(settings):
        agent_id = await _limited(pool, 1)
        await pool.execute("INSERT INTO agent_day VALUES ($1, (now() AT TIME ZONE 'UTC')::date - 1, 1)", agent_id)
        task_id = await make_task(pool, None, payload=receiver.call(), agent_id=agent_id)
        await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: _is_recorded(pool, agent_id, 1))
        assert await _outcomes(pool, agent_id) == {"succeeded": 1}
        assert await pool.fetchval(TODAY, agent_id) == 1


async def test_those_who_stand_in_line_are_told_one_after_the_other(
    pool: asyncpg.Pool, settings: ExecutorSettings
) -> None:
    async with receiving() as receiver, running(settings):
        agent_id = await _limited(pool, 1)
        receiver.may_answer.clear()
        task_id = await make_task(pool, None, payload=receiver.call(), agent_id=agent_id, overlap_policy="buffer_all")
        await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: len(receiver.keys) == 1)
        await pool.execute("UPDATE agent SET limits = '{\"runs_per_day\": 2}'")
        for _ in range(3):
            await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: pool.fetchval("SELECT count(*) = 3 FROM due_work WHERE held_until IS NOT NULL"))
        receiver.may_answer.set()
        await wait_until(lambda: _is_recorded(pool, agent_id, 4))
        assert await _outcomes(pool, agent_id) == {"succeeded": 2, "quota_exceeded": 2}


@pytest.mark.parametrize(("source", "is_started"), [("hook", False), ("schedule", True)])
async def test_the_claim_starts_what_belongs_to_a_run_that_counts_already(
    pool: asyncpg.Pool, source: str, is_started: bool
) -> None:
    agent_id = await _limited(pool, 1)
    task_id = await make_task(pool, None, agent_id=agent_id)
    now = datetime.now(UTC)
    await make_due_work(pool, task_id, now, source=source, started_at=now if is_started else None)
    claimer = Claimer(pool, NoSlots(), instance="claims", lease_seconds=30, batch=100)
    (work,) = await claimer.claim(10)
    assert work.is_admitted


async def _is_recorded(pool: asyncpg.Pool, agent_id: UUID, runs: int) -> bool:
    found = await pool.fetchval(
        "SELECT count(*) FROM task_run WHERE agent_id = $1 AND finished_at IS NOT NULL", agent_id
    )
    return bool(found == runs)
