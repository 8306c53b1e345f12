"""`POST /events`."""

from uuid import UUID

import msgspec
import pytest
from redis.asyncio import Redis

from shared.streams.event_log import STREAM, read_envelope
from shared.vocabulary.ids import random_id
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, task_body
from tests.support.waiting import wait_until


def topic() -> str:
    """One of the test's own: the gateway's database is shared."""
    return f"test.{random_id()}"


async def test_it_runs_the_tasks_that_listen_whoever_owns_them(gateway: Bench, owner: Caller) -> None:
    name = topic()
    other = await gateway.caller()
    tasks = [
        await owner.create_task(schedule_kind="event", schedule_expr=name),
        await other.create_task(schedule_kind="event", schedule_expr=name, event_filter="payload.n > 1"),
    ]
    await other.create_task(schedule_kind="event", schedule_expr=name, event_filter="payload.n > 2")

    answer = await owner.post("/events", {"topic": name, "payload": {"n": 2}})

    told = answer.json()
    assert answer.status_code == 201
    assert (told["topic"], told["listeners"], told["depth"]) == (name, 2, 0)
    for caller, task in zip((owner, other), tasks, strict=True):
        (run,) = (await caller.get("/runs", task_id=task["id"])).json()["items"]
        assert (run["status"], run["source"], run["scheduled_for"]) == ("queued", "event", told["published_at"])


async def test_it_reaches_the_event_log_and_is_marked(gateway: Bench, owner: Caller, redis: Redis) -> None:
    name = topic()
    told = (await owner.post("/events", {"topic": name, "payload": {"n": 2}})).json()
    relayed = "SELECT relayed_at IS NOT NULL FROM event WHERE id = $1"
    await wait_until(lambda: gateway.pool.fetchval(relayed, UUID(told["id"])))
    envelopes = [read_envelope(fields) for _, fields in await redis.xrange(STREAM)]
    (envelope,) = [each for each in envelopes if each.topic == name]
    assert (str(envelope.id), envelope.payload, envelope.source) == (told["id"], {"n": 2}, owner.agent_id)


async def test_a_paused_task_does_not_run_and_a_resumed_one_does(owner: Caller) -> None:
    name = topic()
    task = await owner.create_task(schedule_kind="event", schedule_expr=name)
    await owner.post(f"/tasks/{task['id']}/pause")
    assert (await owner.post("/events", {"topic": name})).json()["listeners"] == 0
    await owner.post(f"/tasks/{task['id']}/resume")
    assert (await owner.post("/events", {"topic": name})).json()["listeners"] == 1


async def test_a_pause_takes_back_what_no_executor_has_begun(gateway: Bench, owner: Caller) -> None:
    name = topic()
    task = await owner.create_task(schedule_kind="event", schedule_expr=name)
    await owner.post("/events", {"topic": name})
    await owner.post(f"/tasks/{task['id']}/pause")
    (run,) = (await owner.get("/runs", task_id=task["id"])).json()["items"]
    assert (run["status"], run["skip_reason"]) == ("canceled", "task_paused")
    assert await gateway.pool.fetchval("SELECT count(*) FROM due_work WHERE task_id = $1", UUID(task["id"])) == 0


async def test_an_idempotency_key_makes_it_one_event(gateway: Bench, owner: Caller) -> None:
    name, headers = topic(), {"Idempotency-Key": random_id()}
    await owner.create_task(schedule_kind="event", schedule_expr=name)
    first, again = [await owner.post("/events", {"topic": name}, headers) for _ in range(2)]
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    assert await gateway.pool.fetchval("SELECT count(*) FROM event WHERE topic = $1", name) == 1
    assert await gateway.pool.fetchval("SELECT count(*) FROM due_work WHERE event ->> 'topic' = $1", name) == 1


async def test_it_leaves_one_audit_entry(gateway: Bench, owner: Caller) -> None:
    told = (await owner.post("/events", {"topic": topic()})).json()
    entry = await gateway.row("SELECT actor_id, action, details FROM audit_log WHERE subject_id = $1", told["id"])
    details = {"topic": told["topic"], "listeners": 0, "source": str(owner.agent_id)}
    assert tuple(entry) == (owner.agent_id, "event.published", details)


async def test_only_an_admin_names_another_source(gateway: Bench, owner: Caller, admin: Caller) -> None:
    body = {"topic": topic(), "source_agent_id": str(owner.agent_id)}
    assert (await owner.post("/events", body)).status_code == 201
    told = (await admin.post("/events", body)).json()
    source = await gateway.pool.fetchval("SELECT source_agent_id FROM event WHERE id = $1", UUID(told["id"]))
    assert source == owner.agent_id
    refused = await owner.post("/events", {**body, "source_agent_id": str(admin.agent_id)})
    assert (refused.status_code, refused.json()["validation_errors"][0]["code"]) == (422, "unknown_field")
    nobody = await admin.post("/events", {**body, "source_agent_id": "019b7f1e-0000-7000-8000-000000000001"})
    assert (nobody.status_code, nobody.json()["error_code"]) == (422, "unknown_agent")


async def test_it_needs_its_scope(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.EVENTS_READ)
    assert (await caller.post("/events", {"topic": topic()})).status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"topic": "Order Placed"}, 422, "invalid_topic", "topic"),
        ({"topic": "order.*"}, 422, "invalid_topic", "topic"),
        ({"topic": ""}, 422, "invalid_topic", "topic"),
        ({}, 422, "required", "topic"),
        ({"topic": "a", "payload": [1]}, 422, "invalid_type", "payload"),
        ({"topic": "a", "depth": 3}, 422, "unknown_field", "depth"),
        ({"topic": "a", "payload": {"text": ["x" * 40_000] * 2}}, 413, "payload_too_large", "payload"),
    ],
)
async def test_what_is_no_event_is_refused(
    owner: Caller, body: dict[str, object], status: int, code: str, field: str
) -> None:
    answer = await owner.post("/events", body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)
    assert answer.json()["validation_errors"][0]["field"] == field


async def test_its_payload_may_hold_whatever_json_holds(owner: Caller) -> None:
    payload = {"": None, "ă": [1.5, {"b": True}], "n": 2**63 - 1}
    name = topic()
    task = await owner.create_task(schedule_kind="event", schedule_expr=name)
    assert (await owner.post_bytes("/events", msgspec.json.encode({"topic": name, "payload": payload}))).is_success
    (run,) = (await owner.get("/runs", task_id=task["id"])).json()["items"]
    assert run["source"] == "event"


async def test_a_task_that_waits_for_events_needs_an_owner_who_may_read_them(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.TASKS_WRITE, Scope.TASKS_READ)
    body = task_body(schedule_kind="event", schedule_expr="order.placed")
    refused = await caller.post("/tasks", body)
    assert (refused.status_code, refused.json()["error_code"]) == (403, "insufficient_scope")
    timed = await caller.create_task()
    changed = await caller.put(f"/tasks/{timed['id']}", {"schedule_kind": "event", "schedule_expr": "order.placed"})
    assert changed.status_code == 403
