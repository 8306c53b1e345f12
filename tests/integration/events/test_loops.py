"""Loops of events and of runs, through a real executor: they end by themselves."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg
import pytest

from services.executor.settings import ExecutorSettings
from shared.vocabulary.limits import EVENT_DEPTH
from tests.integration.events.conftest import Listen, Publish
from tests.integration.executor.conftest import running, settings
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

__all__ = ["settings"]

AGAIN = {"pipeline": [{"id": "again", "uses": "event.publish", "with": {"topic": "loop"}}]}
NOTHING = {"pipeline": [{"id": "nothing", "uses": "transform", "with": {"value": 1}}]}


async def statuses(pool: asyncpg.Pool) -> dict[str, int]:
    rows = await pool.fetch("SELECT status, count(*) AS runs FROM task_run GROUP BY status")
    return {row["status"]: row["runs"] for row in rows}


async def has_ended(pool: asyncpg.Pool) -> bool:
    waiting: int = await pool.fetchval("SELECT count(*) FROM due_work")
    return waiting == 0


@pytest.mark.parametrize(
    "columns",
    [
        {"payload": AGAIN},
        {"payload": NOTHING, "on_success": {"publish": {"topic": "loop"}}},
    ],
)
async def test_a_loop_of_events_ends_with_a_failed_step(
    pool: asyncpg.Pool, settings: ExecutorSettings, listen: Listen, say: Publish, columns: Mapping[str, object]
) -> None:
    await listen("loop", overlap_policy="allow_all", **columns)
    await say("loop")
    async with running(settings):
        await wait_until(lambda: has_ended(pool))
    assert await pool.fetchval("SELECT max(depth) FROM event") == EVENT_DEPTH
    assert await pool.fetchval("SELECT count(*) FROM event") == EVENT_DEPTH + 1
    ended = await statuses(pool)
    assert (ended["failed"], sum(ended.values()) > EVENT_DEPTH) == (1, True)
    error = await pool.fetchval("SELECT error ->> 'message' FROM task_run WHERE status = 'failed'")
    assert "event_loop" in error


async def test_a_loop_of_runs_ends_with_a_failed_step(
    pool: asyncpg.Pool, settings: ExecutorSettings, owner: UUID
) -> None:
    task_id = await make_task(pool, None, agent_id=owner, overlap_policy="allow_all")
    step = {"id": "again", "uses": "task.run_now", "with": {"task_id": str(task_id)}}
    await pool.execute("UPDATE task SET payload = $1 WHERE id = $2", {"pipeline": [step]}, task_id)
    now = await pool.fetchval("SELECT now()")
    await make_due_work(pool, task_id, now, source="manual")
    async with running(settings):
        await wait_until(lambda: has_ended(pool))
    assert await statuses(pool) == {"succeeded": EVENT_DEPTH, "failed": 1}


async def test_a_task_that_listens_sees_the_event(
    pool: asyncpg.Pool, settings: ExecutorSettings, listen: Listen, say: Publish
) -> None:
    seen = {"id": "see", "uses": "transform", "with": {"value": "${event.payload.n + 1} of ${event.topic}"}}
    await listen("order.*", payload={"pipeline": [seen]})
    await say("order.placed", payload={"n": 41})
    async with running(settings):
        await wait_until(lambda: has_ended(pool))
    assert await statuses(pool) == {"succeeded": 1}
    assert await pool.fetchval("SELECT output #>> '{}' FROM task_run") == "42 of order.placed"
