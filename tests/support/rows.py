"""Makes the rows that a test starts from, as the gateway would have written them."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg

from shared.vocabulary.ids import uuid7

HTTP_CALL = {"pipeline": [{"id": "call", "uses": "http.request", "with": {"url": "http://127.0.0.1:9/"}}]}


async def make_agent(pool: asyncpg.Pool, name: str = "owner", scopes: tuple[str, ...] = ("tasks:write",)) -> UUID:
    agent_id = uuid4()
    await pool.execute(
        "INSERT INTO agent (id, name, name_key, scopes) VALUES ($1, $2, $3, $4)",
        agent_id,
        name,
        f"{name}-{agent_id}",
        list(scopes),
    )
    return agent_id


async def make_task(
    pool: asyncpg.Pool,
    next_at: datetime | None,
    *,
    schedule: tuple[str, str] = ("cron", "* * * * *"),
    **columns: object,
) -> UUID:
    """A task in UTC with its cursor; `columns` are further columns of the table `task`."""
    task_id = uuid4()
    kind, expr = schedule
    values = {
        "id": task_id,
        "title": "a task",
        "schedule_kind": kind,
        "schedule_expr": expr,
        "timezone": "UTC",
        "anchor_at": next_at or datetime(2026, 1, 1, tzinfo=UTC),
        "payload": HTTP_CALL,
        # so that a test which makes several runs of it has them all
        "overlap_policy": "allow_all",
        **columns,
    }
    if "agent_id" not in values:
        values["agent_id"] = await make_agent(pool)
    names = ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await pool.execute(f"INSERT INTO task ({names}) VALUES ({marks})", *values.values())
    await pool.execute(
        "INSERT INTO schedule_cursor (task_id, schedule_rev, next_at) VALUES ($1, 1, $2)", task_id, next_at
    )
    return task_id


async def make_due_work(pool: asyncpg.Pool, task_id: UUID, run_at: datetime, **columns: object) -> UUID:
    work_id = uuid7(run_at)
    agent_id = await pool.fetchval("SELECT agent_id FROM task WHERE id = $1", task_id)
    values = {
        "id": work_id,
        "task_id": task_id,
        "agent_id": agent_id,
        "schedule_rev": 1,
        "scheduled_for": run_at,
        "run_at": run_at,
        "priority": 5,
        "source": "schedule",
        **columns,
    }
    names = ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    await pool.execute(f"INSERT INTO due_work ({names}) VALUES ({marks})", *values.values())
    return work_id
