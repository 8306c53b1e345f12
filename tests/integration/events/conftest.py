"""An owner of tasks, tasks that wait for events, and somebody who publishes."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from services.executor.tools.base import StepContext, Tool, ToolFault
from services.executor.tools.event_publish import EventPublish
from services.executor.tools.task_create import TaskCreation
from services.executor.tools.task_run_now import TaskRunNow
from shared.database.asking import asking
from shared.events.announcer import Announcer
from shared.events.event import Event, Published
from shared.events.publishing import publish
from shared.outbound.addresses import AddressPolicy
from shared.runtime.bells import Bells
from shared.vocabulary.ids import uuid7
from tests.support.rows import make_agent, make_due_work, make_task

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

Publish = Callable[..., Coroutine[Any, Any, Published]]
Listen = Callable[..., Awaitable[UUID]]


@pytest.fixture
async def owner(pool: asyncpg.Pool) -> UUID:
    return await make_agent(pool, scopes=("tasks:write", "events:read", "events:publish"))


@pytest.fixture
async def listen(pool: asyncpg.Pool, owner: UUID) -> Listen:
    """Makes a task that waits for a pattern; `columns` are further ones of the table."""

    async def make(pattern: str = "order.placed", **columns: object) -> UUID:
        columns = {"agent_id": owner, **columns}
        task_id = await make_task(pool, None, schedule=("event", pattern), **columns)
        await pool.execute("DELETE FROM schedule_cursor WHERE task_id = $1", task_id)
        return task_id

    return make


@pytest.fixture
async def say(pool: asyncpg.Pool, owner: UUID) -> Publish:
    """Publishes in a transaction of its own."""

    async def act(topic: str = "order.placed", *, now: datetime = NOON, **fields: object) -> Published:
        plain = Event(id=uuid7(now), topic=topic, payload={}, source_agent_id=owner)
        event = msgspec.structs.replace(plain, **fields)
        async with pool.acquire() as connection, connection.transaction():
            return await publish(asking(connection), event, now)

    return act


async def concerned(pool: asyncpg.Pool) -> set[UUID]:
    """The tasks for which work waits, each with one run that shows it."""
    rows = await pool.fetch("SELECT w.task_id FROM due_work w JOIN task_run r ON r.id = w.id AND r.status = 'queued'")
    tasks = [row["task_id"] for row in rows]
    assert len(tasks) == len(set(tasks))
    return set(tasks)


class Tools(NamedTuple):
    """`ring` lets what waits for Redis go there."""

    publish: EventPublish
    run_now: TaskRunNow
    create: TaskCreation
    redis: Redis
    ring: Callable[[], Awaitable[None]]


@pytest.fixture
async def tools(pool: asyncpg.Pool, redis: Redis) -> Tools:
    announcer, bells = Announcer(pool, redis), Bells(redis)

    async def ring() -> None:
        await announcer.stop()
        await bells.stop()

    return Tools(
        EventPublish(pool, announcer, bells),
        TaskRunNow(pool, bells),
        TaskCreation(pool, bells, AddressPolicy()),
        redis,
        ring,
    )


@pytest.fixture
async def context(pool: asyncpg.Pool, owner: UUID) -> StepContext:
    """A step of a run that is leased under fence 3."""
    task_id = await make_task(pool, None, agent_id=owner)
    work_id = await make_due_work(pool, task_id, NOON, fence=3, locked_by="executor-1", locked_until=NOON)
    return StepContext(
        run_id=work_id,
        task_id=task_id,
        agent_id=owner,
        step_id="tell",
        attempt=1,
        fence=3,
        idempotency_key=f"{work_id}:tell",
        scheduled_for=NOON,
        now=NOON,
        callback_token="",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


async def fault_of(tool: Tool, arguments: Mapping[str, object], context: StepContext) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await tool.call(arguments, context)
    return caught.value


async def rows_made(pool: asyncpg.Pool, context: StepContext) -> int:
    """Events, work, runs and audit entries."""
    count: int = await pool.fetchval(
        "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM due_work WHERE id <> $1) "
        "+ (SELECT count(*) FROM task_run) + (SELECT count(*) FROM audit_log)",
        context.run_id,
    )
    return count
