"""A step of a run as an executor has it: leased, running, and then parked until somebody answers."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import msgspec

from services.executor.tools.base import StepContext, Waiting
from tests.support.rows import make_due_work, make_task

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def running_step(pool: asyncpg.Pool, agent_id: UUID, *, step_id: str = "ask", fence: int = 3) -> StepContext:
    """A step of a new run of a new task of this agent."""
    now = datetime.now(UTC)
    task_id = await make_task(pool, None, agent_id=agent_id)
    run_id = await make_due_work(
        pool, task_id, now, attempt=1, fence=fence, locked_by="executor-1", locked_until=now, started_at=now
    )
    await pool.execute("UPDATE due_work SET locked_until = now() + interval '30 s' WHERE id = $1", run_id)
    await pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, attempt, source)
           VALUES ($1, $2, $3, $4, 'running', 1, 'schedule')""",
        *(run_id, task_id, agent_id, now),
    )
    return StepContext(
        run_id=run_id,
        task_id=task_id,
        agent_id=agent_id,
        step_id=step_id,
        attempt=1,
        fence=fence,
        idempotency_key=f"{run_id}.{step_id}",
        scheduled_for=now,
        now=now,
        callback_token="",
        traceparent=TRACEPARENT,
    )


async def park(pool: asyncpg.Pool, context: StepContext, waiting: object) -> None:
    """As the executor writes it: the step waits, the lease is let go, the run comes again at the deadline."""
    assert isinstance(waiting, Waiting)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            """INSERT INTO run_step (run_id, step_id, status, attempt, started_at, wait_kind, deadline_at)
               VALUES ($1, $2, 'waiting', 1, now(), $3, now() + make_interval(secs => $4))
               ON CONFLICT (run_id, step_id) DO UPDATE SET status = excluded.status
                WHERE run_step.finished_at IS NULL""",
            *(context.run_id, context.step_id, waiting.kind, waiting.seconds),
        )
        await connection.execute(
            """UPDATE due_work SET locked_by = NULL, locked_until = NULL,
                      run_at = CASE WHEN is_answered THEN now() ELSE now() + make_interval(secs => $2) END
                WHERE id = $1""",
            *(context.run_id, waiting.seconds),
        )
        await connection.execute("UPDATE task_run SET status = 'waiting' WHERE id = $1", context.run_id)


async def resume(pool: asyncpg.Pool, context: StepContext) -> StepContext:
    """Claimed again, under a higher fence."""
    fence = await pool.fetchval(
        """UPDATE due_work SET fence = fence + 1, locked_by = 'executor-2', locked_until = now() + interval '30 s'
            WHERE id = $1 RETURNING fence""",
        context.run_id,
    )
    return msgspec.structs.replace(context, fence=fence)


async def end(pool: asyncpg.Pool, context: StepContext, status: str = "canceled") -> None:
    """The run has its outcome."""
    await pool.execute("DELETE FROM due_work WHERE id = $1", context.run_id)
    await pool.execute("UPDATE task_run SET status = $2, finished_at = now() WHERE id = $1", context.run_id, status)


async def put_message(pool: asyncpg.Pool, agent_id: UUID, body: object = "hello", **columns: object) -> UUID:
    """A message for which no run waits."""
    values: dict[str, object] = {
        "id": uuid4(),
        "agent_id": agent_id,
        "sender_id": agent_id,
        "body": body,
        "expires_at": datetime(2100, 1, 1, tzinfo=UTC),
        **columns,
    }
    marks = ", ".join(f"${number}" for number in range(1, len(values) + 1))
    message_id: UUID = await pool.fetchval(
        f"INSERT INTO inbox_message ({', '.join(values)}) VALUES ({marks}) RETURNING id", *values.values()
    )
    return message_id
