"""`POST /events/batch`."""

from datetime import datetime
from uuid import UUID

import pytest
from redis.asyncio import Redis

from shared.streams.event_log import STREAM, read_envelope
from shared.vocabulary.ids import random_id
from shared.vocabulary.limits import EVENTS_PER_BATCH
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.waiting import wait_until

RELAYED = "SELECT count(*) FROM event WHERE topic LIKE $1 || '%' AND relayed_at IS NOT NULL"


def topic() -> str:
    return f"test.{random_id()}"


async def events_of(gateway: Bench, name: str) -> int:
    count: int = await gateway.pool.fetchval("SELECT count(*) FROM event WHERE topic LIKE $1 || '%'", name)
    return count


async def test_each_event_is_answered_in_order_with_who_listens(gateway: Bench, owner: Caller) -> None:
    name = topic()
    await owner.create_task(schedule_kind="event", schedule_expr=f"{name}.one")
    await owner.create_task(schedule_kind="event", schedule_expr=f"{name}.*", event_filter="payload.n > 1")
    batch = [{"topic": f"{name}.one", "payload": {"n": 1}}, {"topic": f"{name}.two", "payload": {"n": 2}}]

    answer = await owner.post("/events/batch", {"events": batch})

    told = answer.json()
    assert (answer.status_code, told["listeners"]) == (201, 2)
    assert [(each["topic"], each["listeners"], each["depth"]) for each in told["events"]] == [
        (f"{name}.one", 1, 0),
        (f"{name}.two", 1, 0),
    ]
    assert {each["source_agent_id"] for each in told["events"]} == {str(owner.agent_id)}
    rows = await gateway.pool.fetch(
        "SELECT scheduled_for, event FROM due_work WHERE event ->> 'topic' LIKE $1 || '%' ORDER BY scheduled_for", name
    )
    assert [row["event"]["id"] for row in rows] == [each["id"] for each in told["events"]]
    assert [row["scheduled_for"] for row in rows] == [
        datetime.fromisoformat(each["published_at"]) for each in told["events"]
    ]


async def test_one_task_is_given_the_events_in_their_order(gateway: Bench, owner: Caller) -> None:
    name = topic()
    await owner.create_task(schedule_kind="event", schedule_expr=f"{name}.**")
    batch = [{"topic": f"{name}.n{number}"} for number in range(20)]
    told = (await owner.post("/events/batch", {"events": batch})).json()["events"]
    query = "SELECT event FROM due_work WHERE event ->> 'topic' LIKE $1 || '%' ORDER BY available_at, id"
    assert [row["event"]["id"] for row in await gateway.pool.fetch(query, name)] == [each["id"] for each in told]
    assert sorted(each["id"] for each in told) == [each["id"] for each in told]


async def test_it_leaves_one_audit_entry_for_each_event(gateway: Bench, owner: Caller) -> None:
    name = topic()
    told = (await owner.post("/events/batch", {"events": [{"topic": name}] * 3})).json()["events"]
    query = "SELECT subject_id, details FROM audit_log WHERE actor_id = $1 AND action = 'event.published' ORDER BY seq"
    entries = await gateway.pool.fetch(query, owner.agent_id)
    assert [entry["subject_id"] for entry in entries] == [each["id"] for each in told]
    assert entries[0]["details"] == {"topic": name, "listeners": 0, "source": str(owner.agent_id)}


async def test_a_task_with_max_runs_hears_no_more_of_a_batch_than_that(owner: Caller) -> None:
    name = topic()
    await owner.create_task(schedule_kind="event", schedule_expr=name, max_runs=3)
    told = [(await owner.post("/events/batch", {"events": [{"topic": name}] * 2})).json() for _ in range(3)]
    assert [[each["listeners"] for each in answer["events"]] for answer in told] == [[1, 1], [1, 0], [0, 0]]


async def test_one_wrong_event_stops_all_and_every_wrong_one_is_named(gateway: Bench, owner: Caller) -> None:
    name = topic()
    wrong = [
        {"topic": name},
        {"topic": "Order Placed"},
        {"topic": name, "payload": [1]},
        {"topic": name, "depth": 3},
        {"topic": name},
        {},
        7,
    ]
    answer = await owner.post("/events/batch", {"events": wrong})
    faults = [(fault["field"], fault["code"]) for fault in answer.json()["validation_errors"]]
    assert answer.status_code == 422
    assert faults == [
        ("events[1].topic", "invalid_topic"),
        ("events[2].payload", "invalid_type"),
        ("events[3].depth", "unknown_field"),
        ("events[5].topic", "required"),
        ("events[6]", "invalid_type"),
    ]
    assert await events_of(gateway, name) == 0


async def test_a_payload_that_is_too_large_is_named(gateway: Bench, owner: Caller) -> None:
    name = topic()
    batch = [{"topic": name}, {"topic": name, "payload": {"text": ["x" * 40_000] * 2}}]
    answer = await owner.post("/events/batch", {"events": batch})
    assert (answer.status_code, answer.json()["error_code"]) == (413, "payload_too_large")
    assert [fault["field"] for fault in answer.json()["validation_errors"]] == ["events[1].payload"]
    assert await events_of(gateway, name) == 0


async def test_another_source_is_refused_by_its_place(gateway: Bench, owner: Caller, admin: Caller) -> None:
    name = topic()
    batch = {"events": [{"topic": name}, {"topic": name, "source_agent_id": str(admin.agent_id)}]}
    refused = await owner.post("/events/batch", batch)
    (wrong,) = refused.json()["validation_errors"]
    assert (refused.status_code, wrong["field"], wrong["code"]) == (
        422,
        "events[1].source_agent_id",
        "unknown_field",
    )
    batch["events"][1]["source_agent_id"] = str(owner.agent_id)
    told = (await admin.post("/events/batch", batch)).json()["events"]
    assert [each["source_agent_id"] for each in told] == [str(admin.agent_id), str(owner.agent_id)]
    assert await events_of(gateway, name) == 2


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"events": []}, "required", "events"),
        ({"events": [{"topic": "a"}] * (EVENTS_PER_BATCH + 1)}, "too_long", "events"),
        ({"events": [{"topic": "a"}], "more": 1}, "unknown_field", "more"),
        ({}, "required", "events"),
        ([{"topic": "a"}], "invalid_type", ""),
    ],
)
async def test_what_is_no_batch_is_refused(owner: Caller, body: object, code: str, field: str) -> None:
    answer = await owner.post("/events/batch", body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert answer.json()["validation_errors"][0]["field"] == field


async def test_a_batch_may_be_larger_than_other_bodies(gateway: Bench, owner: Caller) -> None:
    name = topic()
    batch = {"events": [{"topic": name, "payload": {"text": "x" * 3000}}] * EVENTS_PER_BATCH}
    assert (await owner.post("/events/batch", batch)).status_code == 201
    assert await events_of(gateway, name) == EVENTS_PER_BATCH
    too_large = {"events": [{"topic": name, "payload": {"text": "x" * 4500}}] * EVENTS_PER_BATCH}
    refused = await owner.post("/events/batch", too_large)
    assert (refused.status_code, refused.json()["error_code"]) == (413, "payload_too_large")
    complex_one = {"events": [{"topic": name, "payload": {"list": [0] * 60}}] * EVENTS_PER_BATCH}
    refused = await owner.post("/events/batch", complex_one)
    assert (refused.status_code, refused.json()["error_code"]) == (400, "json_too_complex")


async def test_an_idempotency_key_makes_it_one_batch(gateway: Bench, owner: Caller) -> None:
    name, headers = topic(), {"Idempotency-Key": random_id()}
    first, again = [await owner.post("/events/batch", {"events": [{"topic": name}]}, headers) for _ in range(2)]
    assert (first.json(), again.headers["Idempotency-Replayed"]) == (again.json(), "true")
    assert await events_of(gateway, name) == 1


async def test_the_log_has_batches_and_single_events_in_the_order_of_their_publisher(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    name = topic()
    for _ in range(3):
        await owner.post("/events", {"topic": f"{name}.single"})
        await owner.post("/events/batch", {"events": [{"topic": f"{name}.n{n}"} for n in range(100)]})

    async def is_relayed() -> bool:
        return bool(await gateway.pool.fetchval(RELAYED, name) == 303)

    await wait_until(is_relayed)
    envelopes = [read_envelope(fields) for _, fields in await redis.xrange(STREAM)]
    told = [envelope.topic.rpartition(".")[2] for envelope in envelopes if envelope.topic.startswith(name)]
    assert told == ["single", *[f"n{n}" for n in range(100)]] * 3


async def test_it_needs_its_scope(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.EVENTS_READ)
    assert (await caller.post("/events/batch", {"events": [{"topic": topic()}]})).status_code == 403


async def test_the_answer_says_who_published_and_for_whom(gateway: Bench, owner: Caller, admin: Caller) -> None:
    body = {"topic": topic(), "source_agent_id": str(owner.agent_id)}
    told = (await admin.post("/events", body)).json()
    name = await gateway.pool.fetchval("SELECT name FROM agent WHERE id = $1", admin.agent_id)
    assert (told["source_agent_id"], told["published_by"]) == (str(owner.agent_id), name)
    row = await gateway.row("SELECT depth, published_by FROM event WHERE id = $1", UUID(told["id"]))
    assert tuple(row) == (0, name)
