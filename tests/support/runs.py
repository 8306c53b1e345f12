"""Puts runs into the states that an executor leaves them in."""

from typing import Any
from uuid import UUID

import asyncpg

from shared.database.pool import Connection

# Where several are done in one transaction, its connection.
Database = asyncpg.Pool | Connection

CLAIM = """UPDATE due_work SET locked_by = 'e', locked_until = now() + interval '30 s', fence = fence + 1, attempt = 1,
                  started_at = coalesce(started_at, now())"""


async def lease_run(pool: Database, run_id: UUID) -> None:
    """As a claim does: it runs now."""
    await pool.execute(f"{CLAIM} WHERE id = $1", run_id)
    await pool.execute("UPDATE task_run SET status = 'running', attempt = 1, started_at = now() WHERE id = $1", run_id)


async def park_run(
    pool: Database, run_id: UUID, step_id: str = "call", kind: str = "callback", seconds: float = 3600
) -> None:
    """As an executor does whose step waits: the step began when it was parked. An attempt that parks is not counted."""
    await release_run(pool, run_id, "waiting", seconds)
    await pool.execute("UPDATE due_work SET attempt = 0 WHERE id = $1", run_id)
    await pool.execute(
        "INSERT INTO run_step (run_id, step_id, status, attempt, started_at, wait_kind, deadline_at) "
        "VALUES ($1, $2, 'waiting', 1, now(), $3, now() + make_interval(secs => $4))",
        run_id,
        step_id,
        kind,
        seconds,
    )


async def release_run(pool: Database, run_id: UUID, status: str, seconds: float = 3600) -> None:
    """It goes on in so many seconds; until then nobody holds it."""
    await pool.execute(
        "UPDATE due_work SET locked_by = NULL, locked_until = NULL, run_at = now() + make_interval(secs => $2), "
        "started_at = coalesce(started_at, now()) WHERE id = $1",
        run_id,
        seconds,
    )
    await pool.execute(
        "UPDATE task_run SET status = $2, attempt = 1, started_at = now(), "
        "next_attempt_at = now() + make_interval(secs => $3) WHERE id = $1",
        run_id,
        status,
        seconds,
    )


async def finish_run(pool: Database, run_id: UUID, status: str = "succeeded") -> None:
    await pool.execute("DELETE FROM due_work WHERE id = $1", run_id)
    await pool.execute(
        "UPDATE task_run SET status = $2, success = $3, finished_at = now() WHERE id = $1",
        run_id,
        status,
        {"succeeded": True, "failed": False, "dead": False}.get(status),
    )


async def step_of(pool: asyncpg.Pool, run_id: UUID, step_id: str = "call") -> dict[str, Any]:
    (row,) = await pool.fetch("SELECT * FROM run_step WHERE run_id = $1 AND step_id = $2", run_id, step_id)
    return dict(row)


async def work_of(pool: asyncpg.Pool, run_id: UUID) -> dict[str, Any] | None:
    """With `waits_seconds` until it goes on."""
    row = await pool.fetchrow(
        "SELECT *, extract(epoch FROM available_at - now())::float8 AS waits_seconds FROM due_work WHERE id = $1",
        run_id,
    )
    return None if row is None else dict(row)
