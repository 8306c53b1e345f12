"""`task.create`: a step makes a task of its owner's."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest

from services.executor.tools.base import StepContext, ToolFault
from shared.outbound.addresses import AddressPolicy
from shared.streams.doorbell import Bell
from shared.tools.open_input import check_input
from shared.tools.task_create import TASK_CREATE
from shared.vocabulary.faults import Invalid
from shared.vocabulary.limits import TASKS_OF_STEPS_PER_HOUR, TASKS_PER_AGENT
from shared.vocabulary.states import ErrorClass
from tests.integration.events.conftest import Tools, fault_of
from tests.support.waiting import wait_until

STEP = {"id": "call", "uses": "http.request", "with": {"url": "https://example.com/hook"}}


def body(**changes: object) -> dict[str, Any]:
    task = {
        "title": " A task ",
        "schedule_kind": "cron",
        "schedule_expr": "0 * * * *",
        "timezone": "UTC",
        "payload": {"pipeline": [STEP]},
        **changes,
    }
    return {"task": task}


async def made(pool: asyncpg.Pool, context: StepContext) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await pool.fetch("SELECT * FROM task WHERE id <> $1", context.task_id)
    return rows


async def test_the_task_belongs_to_the_owner_and_has_a_cursor_and_an_audit_entry(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    answer = await tools.create.call(body(tags=["a", "a"], priority=2), context)
    (task,) = await made(pool, context)
    assert answer == {"task_id": str(task["id"]), "next_run_at": "2026-01-01T13:00:00+00:00"}
    assert (task["title"], task["tags"], task["priority"]) == ("A task", ["a"], 2)
    assert (task["agent_id"], task["status"]) == (owner, "active")
    assert task["payload"] == {"pipeline": [STEP]}
    assert task["traceparent"] == context.traceparent
    next_at = await pool.fetchval("SELECT next_at FROM schedule_cursor WHERE task_id = $1", task["id"])
    assert next_at.isoformat() == "2026-01-01T13:00:00+00:00"
    entry = await pool.fetchrow("SELECT * FROM audit_log")
    assert entry is not None
    assert (entry["actor_id"], entry["actor_name"], entry["action"]) == (owner, "owner", "task.created")
    assert entry["details"] == {
        "title": "A task",
        "owner": str(owner),
        "caused_by": {"run_id": str(context.run_id), "task_id": str(context.task_id), "step_id": "tell"},
    }
    await tools.ring()
    assert await tools.redis.xlen(Bell.TASK_CHANGES) == 1


async def test_tried_again_it_creates_no_second_one(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    first = await tools.create.call(body(dedupe_key="one"), context)
    again = msgspec.structs.replace(context, attempt=2)
    assert await tools.create.call(body(dedupe_key="one"), again) == first
    assert len(await made(pool, context)) == 1
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 1


async def test_a_task_for_events_has_no_next_time(tools: Tools, context: StepContext) -> None:
    wanted = body(schedule_kind="event", schedule_expr="order.*", event_filter="payload.n > 1")
    answer = await tools.create.call(wanted, context)
    assert isinstance(answer, dict)
    assert answer["next_run_at"] is None


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"title": " "}, "title"),
        ({"schedule_expr": "61 * * * *"}, "schedule_expr"),
        ({"schedule_expr": "0 0 30 2 *"}, "schedule_expr"),
        ({"schedule_kind": "rrule", "schedule_expr": "FREQ=SECONDLY;INTERVAL=5"}, "schedule_expr"),
        ({"timezone": "Nowhere/Land"}, "timezone"),
        ({"event_filter": "true"}, "event_filter"),
        ({"schedule_kind": "event", "schedule_expr": "Order"}, "schedule_expr"),
        ({"payload": {"pipeline": [{**STEP, "uses": "nothing"}]}}, "payload.pipeline[0].uses"),
        (
            {"payload": {"pipeline": [{**STEP, "with": {"url": "http://127.0.0.1/"}}]}},
            "payload.pipeline[0].with.url",
        ),
        ({"created_by": "019b7f1e-0000-7000-8000-000000000001"}, "created_by"),
        ({"status": "paused"}, "status"),
    ],
)
async def test_a_task_that_the_gateway_would_refuse_is_a_fault_of_the_tool(
    pool: asyncpg.Pool, tools: Tools, context: StepContext, changes: dict[str, object], place: str
) -> None:
    fault = await fault_of(tools.create, body(**changes), context)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message.startswith(f"with.task.{place}: ")
    assert await made(pool, context) == []
    assert await pool.fetchval("SELECT count(*) FROM audit_log") == 0


async def test_the_owners_own_limit_holds(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    wanted = body(schedule_kind="rrule", schedule_expr="FREQ=MINUTELY")
    await pool.execute("""UPDATE agent SET limits = '{"min_interval_seconds": 61}'""")
    assert "schedule_too_frequent" in (await fault_of(tools.create, wanted, context)).message
    await pool.execute("""UPDATE agent SET limits = '{"min_interval_seconds": 60}'""")
    await tools.create.call(wanted, context)


async def test_a_dedupe_key_that_is_taken_is_refused(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    await tools.create.call(body(dedupe_key="one"), context)
    other = msgspec.structs.replace(context, step_id="other")
    assert "already_exists" in (await fault_of(tools.create, body(dedupe_key="one"), other)).message
    assert len(await made(pool, context)) == 1


async def test_an_agent_has_only_so_many_active_tasks(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    await pool.execute(
        "INSERT INTO task (id, agent_id, title, schedule_kind, schedule_expr, timezone, anchor_at, payload) "
        "SELECT gen_random_uuid(), $1, 'one of many', 'event', 'a', 'UTC', now(), '{}' FROM generate_series(2, $2)",
        owner,
        TASKS_PER_AGENT,
    )
    assert "quota_exceeded" in (await fault_of(tools.create, body(), context)).message
    await pool.execute("UPDATE task SET status = 'completed' WHERE id = (SELECT min(id::text)::uuid FROM task)")
    await tools.create.call(body(), context)


AUDITED = (
    "INSERT INTO audit_log (at, actor_id, actor_name, action, subject_type, subject_id, details) "
    "SELECT now() - $4::interval, $1, 'owner', 'task.created', 'task', 'x', $3 FROM generate_series(1, $2)"
)


async def test_steps_make_only_so_many_tasks_in_an_hour(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    """Also of those that are done at once: a task that makes its like comes to an end."""
    by_step: dict[str, object] = {"caused_by": {}}
    await pool.execute(AUDITED, owner, 10, by_step, timedelta(minutes=61))
    await pool.execute(AUDITED, owner, TASKS_OF_STEPS_PER_HOUR - 1, by_step, timedelta(minutes=59))
    await tools.create.call(body(), context)
    other = msgspec.structs.replace(context, step_id="other")
    assert "quota_exceeded" in (await fault_of(tools.create, body(), other)).message
    assert len(await made(pool, context)) == 1


async def test_what_clients_create_does_not_count_among_what_steps_make(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    await pool.execute(AUDITED, owner, TASKS_OF_STEPS_PER_HOUR, {"title": "by a client"}, timedelta(minutes=1))
    await tools.create.call(body(), context)


async def test_steps_of_one_agent_are_counted_one_after_the_other(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    async with pool.acquire() as counting:
        async with counting.transaction():
            await counting.execute("SELECT FROM agent WHERE id = $1 FOR NO KEY UPDATE", owner)
            creating = asyncio.create_task(tools.create.call(body(), context))
            await wait_until(
                lambda: pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
            assert await made(pool, context) == []
        await creating


@pytest.mark.parametrize("change", ["scopes = ARRAY['tasks:read', 'events:read']", "status = 'disabled'"])
async def test_a_scope_that_was_taken_away_stops_the_step(
    pool: asyncpg.Pool, tools: Tools, context: StepContext, change: str
) -> None:
    await pool.execute(f"UPDATE agent SET {change}")
    assert (await fault_of(tools.create, body(), context)).error_class is ErrorClass.TOOL
    assert await made(pool, context) == []


async def test_a_run_that_another_executor_took_over_creates_nothing(
    pool: asyncpg.Pool, tools: Tools, context: StepContext
) -> None:
    stale = msgspec.structs.replace(context, fence=2)
    assert (await fault_of(tools.create, body(), stale)).error_class is ErrorClass.LEASE_LOST
    assert await made(pool, context) == []


async def test_a_step_waits_for_whoever_is_taking_its_run_over(
    pool: asyncpg.Pool, tools: Tools, context: StepContext
) -> None:
    async with pool.acquire() as claiming:
        async with claiming.transaction():
            await claiming.execute("UPDATE due_work SET fence = fence + 1 WHERE id = $1", context.run_id)
            creating = asyncio.create_task(tools.create.call(body(), context))
            await wait_until(
                lambda: pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
        with pytest.raises(ToolFault, match="taken over"):
            await creating
    assert await made(pool, context) == []


OPEN = "${event.payload.x}"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"title": OPEN},
        {"schedule_kind": "once", "schedule_expr": OPEN},
        {"schedule_kind": OPEN, "schedule_expr": "61 * * * *"},
        {"payload": OPEN},
        {"payload": {"params": {"x": OPEN}, "pipeline": [{**STEP, "with": {"url": "https://a.example/$${params.x}"}}]}},
        {"priority": OPEN, "tags": [OPEN]},
    ],
)
def test_what_is_not_known_yet_is_accepted_when_the_step_is_written(changes: dict[str, object]) -> None:
    check_input(TASK_CREATE, body(**changes), AddressPolicy(), "payload.pipeline[0].with")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"title": 5, "schedule_expr": OPEN}, "title"),
        ({"schedule_expr": "61 * * * *", "title": OPEN}, "schedule_expr"),
        ({"unknown": 1, "title": OPEN}, "unknown"),
        ({"priority": 10, "title": OPEN}, "priority"),
        ({"schedule_kind": "event", "schedule_expr": "Order", "title": OPEN}, "schedule_expr"),
    ],
)
def test_what_no_value_can_mend_is_refused_when_the_step_is_written(changes: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        check_input(TASK_CREATE, body(**changes), AddressPolicy(), "payload.pipeline[0].with")
    assert refusal.value.validation_errors[0].field == f"payload.pipeline[0].with.task.{field}"
