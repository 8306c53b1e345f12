"""`event.publish` and `task.run_now`: what a run does in the name of its task's owner."""

from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest

from services.executor.tools.base import StepContext
from shared.streams.doorbell import Bell
from shared.streams.event_log import STREAM
from shared.vocabulary.limits import EVENT_DEPTH
from shared.vocabulary.states import ErrorClass
from tests.integration.events.conftest import Listen, Tools, concerned, fault_of, rows_made
from tests.support.rows import make_agent, make_task

PUBLISHED = {"topic": "order.placed", "payload": {"n": 1}}


async def test_a_step_publishes_for_all_who_listen(
    pool: asyncpg.Pool, listen: Listen, tools: Tools, context: StepContext
) -> None:
    task_id = await listen("order.*")
    answer = await tools.publish.call(PUBLISHED, msgspec.structs.replace(context, event_depth=4))
    event = await pool.fetchrow("SELECT * FROM event")
    work = await pool.fetchrow("SELECT * FROM due_work WHERE task_id = $1", task_id)
    assert event is not None
    assert work is not None
    assert answer == {"event_id": str(event["id"]), "topic": "order.placed", "listeners": 1}
    assert (event["payload"], event["source_agent_id"], event["depth"]) == ({"n": 1}, context.agent_id, 5)
    assert event["published_by"] == f"run {context.run_id}"
    assert work["event"]["depth"] == 5
    assert work["traceparent"] == context.traceparent
    await tools.ring()
    assert await tools.redis.xlen(STREAM) == 1


async def test_tried_again_it_publishes_nothing_twice(
    pool: asyncpg.Pool, listen: Listen, tools: Tools, context: StepContext
) -> None:
    await listen()
    first = await tools.publish.call(PUBLISHED, context)
    made = await rows_made(pool, context)
    await pool.execute("UPDATE due_work SET fence = 4 WHERE id = $1", context.run_id)
    again = msgspec.structs.replace(context, attempt=2, fence=4)
    assert await tools.publish.call(PUBLISHED, again) == first
    assert await rows_made(pool, context) == made == 4


async def test_another_step_publishes_another_event(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    for step_id in ("tell", "tell[0]", "tell[1]", "again"):
        await tools.publish.call(PUBLISHED, msgspec.structs.replace(context, step_id=step_id))
    assert await pool.fetchval("SELECT count(*) FROM event") == 4


async def test_a_loop_of_events_ends(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    await tools.publish.call(PUBLISHED, msgspec.structs.replace(context, event_depth=EVENT_DEPTH - 1))
    deepest = msgspec.structs.replace(context, step_id="again", event_depth=EVENT_DEPTH)
    fault = await fault_of(tools.publish, PUBLISHED, deepest)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert "event_loop" in fault.message
    assert await pool.fetchval("SELECT count(*) FROM event") == 1


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"topic": "order.*"}, "with.topic"),
        ({"payload": {}}, "with.topic"),
        ({"topic": "a", "payload": "text"}, "with.payload"),
        ({"topic": "a", "payload": {"text": "x" * 70_000}}, "with.payload"),
        ({"topic": "a", "more": 1}, "with.more"),
    ],
)
async def test_what_is_no_event_is_a_fault_of_the_tool(
    tools: Tools, context: StepContext, arguments: dict[str, object], place: str
) -> None:
    fault = await fault_of(tools.publish, arguments, context)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message.startswith(place)


async def test_what_postgres_cannot_store_is_replaced(pool: asyncpg.Pool, tools: Tools, context: StepContext) -> None:
    await tools.publish.call({"topic": "a", "payload": {"text": "nul \0, half \ud800"}}, context)
    assert await pool.fetchval("SELECT payload ->> 'text' FROM event") == "nul \ufffd, half ?"


async def test_a_run_that_another_executor_took_over_does_nothing(
    pool: asyncpg.Pool, listen: Listen, tools: Tools, context: StepContext
) -> None:
    task_id = await listen()
    stale = msgspec.structs.replace(context, fence=2)
    assert (await fault_of(tools.publish, PUBLISHED, stale)).error_class is ErrorClass.LEASE_LOST
    assert (await fault_of(tools.run_now, {"task_id": str(task_id)}, stale)).error_class is ErrorClass.LEASE_LOST
    await pool.execute("UPDATE due_work SET locked_by = NULL, locked_until = NULL WHERE id = $1", context.run_id)
    assert (await fault_of(tools.publish, PUBLISHED, context)).error_class is ErrorClass.LEASE_LOST
    assert (await fault_of(tools.run_now, {"task_id": str(task_id)}, context)).error_class is ErrorClass.LEASE_LOST
    assert await rows_made(pool, context) == 0


@pytest.mark.parametrize("change", ["scopes = ARRAY['tasks:read', 'events:read', 'runs:read']", "status = 'disabled'"])
async def test_a_scope_that_was_taken_away_stops_the_step(
    pool: asyncpg.Pool, listen: Listen, tools: Tools, context: StepContext, change: str
) -> None:
    task_id = await listen()
    await pool.execute(f"UPDATE agent SET {change}")
    faults = {
        "events:publish": await fault_of(tools.publish, PUBLISHED, context),
        "tasks:write": await fault_of(tools.run_now, {"task_id": str(task_id)}, context),
    }
    for scope, fault in faults.items():
        assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
        assert (scope in fault.message) is ("scopes" in change)
    assert await rows_made(pool, context) == 0


async def test_a_step_runs_another_task_of_the_same_owner(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    task_id = await make_task(pool, None, agent_id=owner, priority=2, concurrency_key="one")
    answer = await tools.run_now.call({"task_id": str(task_id)}, context)
    assert isinstance(answer, dict)
    work = await pool.fetchrow("SELECT * FROM due_work WHERE task_id = $1", task_id)
    assert work is not None
    assert answer == {"run_id": str(work["id"]), "task_id": str(task_id)}
    assert (work["source"], work["priority"], work["concurrency_key"]) == ("manual", 2, "one")
    assert work["event"]["caused_by"]["run_id"] == str(context.run_id)
    assert await concerned(pool) == {task_id}
    await tools.ring()
    assert await tools.redis.xlen(Bell.DUE_WORK) == 1
    entry = await pool.fetchrow("SELECT actor_id, action, subject_id, details FROM audit_log")
    assert entry is not None
    assert (entry["actor_id"], entry["action"], entry["subject_id"]) == (owner, "task.run_now", str(task_id))
    assert entry["details"]["caused_by"]["run_id"] == str(context.run_id)


async def test_tried_again_it_makes_no_second_run(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    task_id = await make_task(pool, None, agent_id=owner)
    first = await tools.run_now.call({"task_id": str(task_id)}, context)
    # Meanwhile that run has ended, and its task was paused.
    await pool.execute("DELETE FROM due_work WHERE task_id = $1", task_id)
    await pool.execute("UPDATE task SET status = 'paused' WHERE id = $1", task_id)
    assert await tools.run_now.call({"task_id": str(task_id)}, context) == first
    assert await pool.fetchval("SELECT count(*) FROM task_run") == 1
    assert await pool.fetchval("SELECT count(*) FROM due_work WHERE task_id = $1", task_id) == 0


async def test_a_task_of_another_agent_is_not_found_but_by_an_admin(
    pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext
) -> None:
    task_id = await make_task(pool, None, agent_id=await make_agent(pool))
    foreign = await fault_of(tools.run_now, {"task_id": str(task_id)}, context)
    missing = await fault_of(tools.run_now, {"task_id": str(uuid4())}, context)
    assert foreign.message == missing.message
    await pool.execute("UPDATE agent SET scopes = ARRAY['admin'] WHERE id = $1", owner)
    await tools.run_now.call({"task_id": str(task_id)}, context)
    assert await concerned(pool) == {task_id}


async def test_a_paused_task_does_not_run(pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext) -> None:
    task_id = await make_task(pool, None, agent_id=owner, status="paused")
    fault = await fault_of(tools.run_now, {"task_id": str(task_id)}, context)
    assert "paused" in fault.message
    assert await rows_made(pool, context) == 0


async def test_a_loop_of_runs_ends(pool: asyncpg.Pool, owner: UUID, tools: Tools, context: StepContext) -> None:
    task_id = await make_task(pool, None, agent_id=owner)
    last = msgspec.structs.replace(context, event_depth=EVENT_DEPTH - 1)
    await tools.run_now.call({"task_id": str(task_id)}, last)
    assert await pool.fetchval("SELECT event -> 'depth' FROM due_work WHERE task_id = $1", task_id) == EVENT_DEPTH
    deepest = msgspec.structs.replace(context, step_id="again", event_depth=EVENT_DEPTH)
    assert "event_loop" in (await fault_of(tools.run_now, {"task_id": str(task_id)}, deepest)).message
    assert await pool.fetchval("SELECT count(*) FROM task_run") == 1
