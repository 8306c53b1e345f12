from collections.abc import Callable
from uuid import uuid4

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from services.executor.tools.agent_deliver import AgentDeliver
from services.executor.tools.base import ToolFault, Waiting
from shared.streams.client import open_redis
from shared.streams.inbox_bell import InboxListener
from shared.vocabulary.limits import INBOX_BODY_BYTES
from shared.vocabulary.states import ErrorClass, WaitKind
from tests.support.rows import make_agent
from tests.support.steps import park, resume, running_step

NOWHERE = "redis://127.0.0.1:1"
MESSAGES = "SELECT * FROM inbox_message"


@pytest.fixture
def tool(pool: asyncpg.Pool, redis: Redis) -> AgentDeliver:
    return AgentDeliver(pool, redis)


async def _fault(act: Callable[[], object]) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await act()  # type: ignore[misc]  # a coroutine function
    return caught.value


async def test_a_message_is_put_into_the_inbox_of_the_tasks_owner(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    owner = await make_agent(pool, "ana")
    step = await running_step(pool, owner)
    output = await tool.call({"body": {"n": [1, None]}}, step)
    (message,) = await pool.fetch(MESSAGES)
    assert output == {"message_id": str(message["id"]), "agent": "ana"}
    assert (message["agent_id"], message["sender_id"], message["run_id"], message["step_id"]) == (
        *(owner, owner, step.run_id),
        "ask",
    )
    assert (message["body"], message["traceparent"], message["is_awaited"]) == (
        {"n": [1, None]},
        step.traceparent,
        False,
    )


@pytest.mark.parametrize("body", [None, "text", 7, True, [], {"body": "x"}, {"nul": "a\0b"}])
async def test_any_json_is_a_message(pool: asyncpg.Pool, tool: AgentDeliver, body: object) -> None:
    step = await running_step(pool, await make_agent(pool))
    await tool.call({"body": body}, step)
    (message,) = await pool.fetch(MESSAGES)
    assert message["body"] == (body if body != {"nul": "a\0b"} else {"nul": "a\ufffdb"})


async def test_a_step_that_is_tried_again_delivers_nothing_twice(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool))
    first = await tool.call({"body": 1}, step)
    assert await tool.call({"body": 1}, await resume(pool, step)) == first
    assert len(await pool.fetch(MESSAGES)) == 1


async def test_items_of_one_run_are_messages_of_their_own(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool))
    for name in ("tell[0]", "tell[1]"):
        await tool.call({"body": name}, msgspec.structs.replace(step, step_id=name))
    assert len(await pool.fetch(MESSAGES)) == 2


async def test_an_executor_that_lost_its_lease_delivers_nothing(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool))
    await resume(pool, step)
    fault = await _fault(lambda: tool.call({"body": 1}, step))
    assert (fault.error_class, await pool.fetch(MESSAGES)) == (ErrorClass.LEASE_LOST, [])


async def test_a_run_that_was_let_go_delivers_nothing(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool))
    await pool.execute("UPDATE due_work SET locked_until = NULL")
    fault = await _fault(lambda: tool.call({"body": 1}, step))
    assert (fault.error_class, await pool.fetch(MESSAGES)) == (ErrorClass.LEASE_LOST, [])


async def test_an_admin_delivers_to_any_agent_by_name_or_id(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    admin = await make_agent(pool, "root", ("admin",))
    other = await make_agent(pool, "Other")
    await pool.execute("UPDATE agent SET name_key = lower(name)")
    for number, agent in enumerate(("OTHER", str(other), " other ")):
        step = await running_step(pool, admin, step_id=f"s{number}")
        assert (await tool.call({"body": 1, "agent": agent}, step))["agent"] == "Other"  # type: ignore[index]
    assert {row["agent_id"] for row in await pool.fetch(MESSAGES)} == {other}


async def test_whom_it_may_not_reach_and_who_is_not_there_are_told_alike(
    pool: asyncpg.Pool, tool: AgentDeliver
) -> None:
    plain, admin = await make_agent(pool, "plain"), await make_agent(pool, "root", ("admin",))
    other, disabled = await make_agent(pool, "other"), await make_agent(pool, "disabled")
    await pool.execute("UPDATE agent SET status = 'disabled' WHERE id = $1", disabled)
    tried = [(plain, str(other)), (plain, str(uuid4())), (admin, str(disabled)), (admin, "nobody")]
    messages = set()
    for owner, agent in tried:
        step = await running_step(pool, owner)
        fault = await _fault(lambda agent=agent, step=step: tool.call({"body": 1, "agent": agent}, step))  # type: ignore[misc]
        messages.add((fault.error_class, fault.message, fault.retryable))
    assert len(messages) == 1
    assert await pool.fetch(MESSAGES) == []


async def test_an_admin_who_is_none_any_more_delivers_to_nobody_else(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    admin, other = await make_agent(pool, "root", ("admin",)), await make_agent(pool, "other")
    step = await running_step(pool, admin)
    await pool.execute("UPDATE agent SET scopes = '{}' WHERE id = $1", admin)
    fault = await _fault(lambda: tool.call({"body": 1, "agent": str(other)}, step))
    assert fault.error_class is ErrorClass.TOOL


WRONG: list[tuple[dict[str, object], str]] = [
    ({}, "with.body"),
    ({"body": "x" * INBOX_BODY_BYTES}, "with.body"),
    ({"body": 1, "agent": ""}, "with.agent"),
    ({"body": 1, "visibility": 3}, "with.visibility"),
    ({"body": 1, "max_deliveries": 0}, "with.max_deliveries"),
    ({"body": 1, "expires_in_seconds": 31 * 86_400}, "with.expires_in_seconds"),
    ({"body": 1, "await_ack": "yes"}, "with.await_ack"),
]


@pytest.mark.parametrize(("arguments", "field"), WRONG, ids=[field for _, field in WRONG])
async def test_wrong_arguments_are_told_by_their_field(
    pool: asyncpg.Pool, tool: AgentDeliver, arguments: dict[str, object], field: str
) -> None:
    step = await running_step(pool, await make_agent(pool))
    fault = await _fault(lambda: tool.call(arguments, step))
    assert (fault.error_class, fault.message.partition(":")[0], fault.retryable) == (ErrorClass.TOOL, field, False)


async def test_with_await_ack_the_run_waits_as_long_as_the_message_lives(
    pool: asyncpg.Pool, tool: AgentDeliver
) -> None:
    step = await running_step(pool, await make_agent(pool))
    waiting = await tool.call({"body": 1, "await_ack": True, "timeout_seconds": 60}, step)
    assert isinstance(waiting, Waiting)
    assert (waiting.kind, round(waiting.seconds)) == (WaitKind.INBOX, 60)
    assert await pool.fetchval("SELECT expires_at <= now() + interval '60 s' FROM inbox_message")


async def test_after_a_crash_it_waits_for_what_is_left(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool))
    arguments: dict[str, object] = {"body": 1, "await_ack": True, "timeout_seconds": 60}
    await tool.call(arguments, step)
    await pool.execute("UPDATE inbox_message SET expires_at = now() + interval '10 s'")
    again = await tool.call(arguments, await resume(pool, step))
    assert isinstance(again, Waiting)
    assert 5 < again.seconds <= 10


async def test_at_the_deadline_the_step_times_out_and_nobody_gets_the_message_any_more(
    pool: asyncpg.Pool, tool: AgentDeliver
) -> None:
    step = await running_step(pool, await make_agent(pool))
    arguments: dict[str, object] = {"body": 1, "await_ack": True}
    await park(pool, step, await tool.call(arguments, step))
    await pool.execute("UPDATE inbox_message SET expires_at = now()")
    again = await resume(pool, step)
    fault = await _fault(lambda: tool.call(arguments, again))
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, False)
    assert await pool.fetchval("SELECT settled_as FROM inbox_message") == "expired"


async def test_a_message_that_was_given_up_fails_the_step(pool: asyncpg.Pool, tool: AgentDeliver) -> None:
    step = await running_step(pool, await make_agent(pool, "ana"))
    arguments: dict[str, object] = {"body": 1, "await_ack": True}
    await tool.call(arguments, step)
    await pool.execute("UPDATE inbox_message SET settled_at = now(), settled_as = 'dead', deliveries = 10")
    again = await resume(pool, step)
    fault = await _fault(lambda: tool.call(arguments, again))
    assert (fault.error_class, fault.message) == (ErrorClass.TOOL, "ana gave the message up after 10 deliveries.")


async def test_it_rings_for_the_agent_once_the_message_can_be_seen(
    pool: asyncpg.Pool, tool: AgentDeliver, redis: Redis
) -> None:
    owner = await make_agent(pool)
    listener = InboxListener(redis)
    await listener.heard(0.001)
    step = await running_step(pool, owner)
    await tool.call({"body": 1}, step)
    assert await listener.heard(1) == {owner: 1}
    await tool.call({"body": 1}, await resume(pool, step))
    assert await listener.heard(0.01) == {}


async def test_without_redis_the_message_is_there_all_the_same(pool: asyncpg.Pool) -> None:
    away = open_redis(NOWHERE)
    try:
        await AgentDeliver(pool, away).call({"body": 1}, await running_step(pool, await make_agent(pool)))
    finally:
        await away.aclose()
    assert len(await pool.fetch(MESSAGES)) == 1


async def test_a_full_inbox_takes_no_more_until_something_is_acknowledged(
    pool: asyncpg.Pool, tool: AgentDeliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.executor.tools.agent_deliver.INBOX_MESSAGES_PER_AGENT", 2)
    owner = await make_agent(pool, "ana")
    steps = [await running_step(pool, owner) for _ in range(3)]
    for step in steps[:2]:
        await tool.call({"body": 1}, step)
    fault = await _fault(lambda: tool.call({"body": 1}, steps[2]))
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, True)
    assert "The inbox of ana holds 2 messages" in fault.message
    assert "quota_exceeded" in fault.message
    assert len(await pool.fetch(MESSAGES)) == 2
    again = await tool.call({"body": 1}, steps[1])
    assert isinstance(again, dict)
    await pool.execute("UPDATE inbox_message SET settled_at = now() WHERE run_id = $1", steps[0].run_id)
    await tool.call({"body": 1}, steps[2])
    assert len(await pool.fetch(MESSAGES)) == 3


async def test_what_has_expired_unasked_fills_no_inbox(
    pool: asyncpg.Pool, tool: AgentDeliver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.executor.tools.agent_deliver.INBOX_MESSAGES_PER_AGENT", 1)
    owner = await make_agent(pool)
    for _ in range(2):
        await tool.call({"body": 1}, await running_step(pool, owner))
        await pool.execute("UPDATE inbox_message SET expires_at = now()")
    assert len(await pool.fetch(MESSAGES)) == 2
