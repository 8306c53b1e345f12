from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.executor.chores import APPROVAL_DAYS, POOL, prune_approvals, prune_rate_windows
from shared.vocabulary.ids import first_uuid7_at, id_of_step
from tests.support.rows import make_agent, make_due_work, make_task

LONG_AGO, NOT_SO_LONG = timedelta(days=APPROVAL_DAYS + 1), timedelta(days=APPROVAL_DAYS - 1)


async def approval(
    pool: asyncpg.Pool, run_at: datetime, settled_at: datetime, status: str = "approved", run_id: UUID | None = None
) -> UUID:
    """Of a run of that time."""
    approval_id = id_of_step(run_id or first_uuid7_at(run_at), str(uuid4()))
    decided_at = None if status in ("pending", "expired") else settled_at
    await pool.execute(
        "INSERT INTO approval (id, agent_id, task_id, run_id, step_id, prompt, status, decided_at, deadline_at) "
        "VALUES ($1, $2, gen_random_uuid(), $3, 'ask', 'May I?', $4, $5, $6)",
        *(approval_id, await make_agent(pool), run_id or first_uuid7_at(run_at), status, decided_at),
        settled_at if decided_at is None else settled_at + timedelta(days=30),
    )
    return approval_id


async def left(pool: asyncpg.Pool) -> set[UUID]:
    await prune_approvals({POOL: pool})
    return {row["id"] for row in await pool.fetch("SELECT id FROM approval")}


@pytest.mark.parametrize("status", ["approved", "rejected", "expired", "pending"])
async def test_what_was_settled_long_ago_is_pruned(pool: asyncpg.Pool, status: str) -> None:
    now = datetime.now(UTC)
    await approval(pool, now - LONG_AGO - timedelta(days=1), now - LONG_AGO, status)
    late = await approval(pool, now - LONG_AGO, now - NOT_SO_LONG, status)
    young = await approval(pool, now - NOT_SO_LONG, now, status)
    assert await left(pool) == {late, young}


async def test_the_request_of_a_run_that_has_not_ended_stays(pool: asyncpg.Pool) -> None:
    at = datetime.now(UTC) - LONG_AGO
    run_id = await make_due_work(pool, await make_task(pool, None), at)
    kept = await approval(pool, at, at, "pending", run_id)
    assert await left(pool) == {kept}


async def test_a_window_goes_when_its_last_start_can_count_no_more(pool: asyncpg.Pool) -> None:
    agent_id, now = await make_agent(pool), datetime.now(UTC)
    for key, at in (("old", now - timedelta(days=3)), ("ahead", now + timedelta(days=30))):
        starts = [now - timedelta(days=9), at]
        await pool.execute("INSERT INTO rate_window (agent_id, key, starts) VALUES ($1, $2, $3)", agent_id, key, starts)

    await prune_rate_windows({POOL: pool})

    assert [row["key"] for row in await pool.fetch("SELECT key FROM rate_window")] == ["ahead"]
