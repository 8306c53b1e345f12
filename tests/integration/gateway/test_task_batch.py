import asyncio
import json
from typing import Any

import pytest

from tests.integration.gateway.bench import Bench, Caller, payload_with, task_body


async def _create(caller: Caller, *tasks: dict[str, Any]) -> dict[str, Any]:
    answer = await caller.post("/tasks/batch", {"tasks": [*tasks]})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_each_task_is_as_if_it_were_created_alone(gateway: Bench, owner: Caller) -> None:
    bodies: list[dict[str, Any]] = [
        task_body(title=" Trimmed ", tags=["a", "a"], dedupe_key="one", priority=1),
        task_body(schedule_kind="once", schedule_expr="2030-01-01T00:00:00Z", timezone="Asia/Tokyo"),
        task_body(
            schedule_kind="rrule",
            schedule_expr="FREQ=DAILY",
            starts_at="2030-01-01T00:00:00+02:00",
            ends_at="2031-01-01T00:00:00Z",
            exclusions=["2030-12-25"],
            max_runs=7,
            concurrency_key="k",
            concurrency_limit=2,
            rate_limit={"limit": 1, "period_seconds": 60},
            expires_after_seconds=60,
            on_success={"publish": {"topic": "done"}},
            pause_after_failures=3,
            payload={"params": {"a": [None, "é", 1.5]}, **payload_with(url="https://example.com/")},
        ),
        task_body(schedule_kind="event", schedule_expr="order.*", event_filter="payload.n > 1"),
    ]
    made = await _create(owner, *bodies)
    assert made["created"] == 4
    for body, item in zip(bodies, made["items"], strict=True):
        shown = await owner.show_task(item["id"])
        assert item == {**{name: shown[name] for name in item if name != "is_new"}, "is_new": True}
        alone = await (await gateway.caller()).create_task(**body)
        own = {"id", "created_by", "created_at", "updated_at", "next_run_at"}
        assert {name: shown[name] for name in shown.keys() - own} == {name: alone[name] for name in alone.keys() - own}
    cursors = "SELECT count(*) FROM schedule_cursor c JOIN task t ON t.id = c.task_id WHERE t.agent_id = $1"
    assert await gateway.pool.fetchval(cursors, owner.agent_id) == 3


async def test_tasks_are_listed_in_their_order_and_each_has_an_audit_entry(gateway: Bench, owner: Caller) -> None:
    made = await _create(owner, *(task_body(title=f"task {number}") for number in range(20)))
    listed = (await owner.get("/tasks", sort="created_at")).json()["items"]
    assert [item["title"] for item in listed] == [f"task {number}" for number in range(20)]
    rows = await gateway.pool.fetch("SELECT * FROM audit_log WHERE actor_id = $1 ORDER BY seq", owner.agent_id)
    assert [row["subject_id"] for row in rows] == [item["id"] for item in made["items"]]
    assert {row["action"] for row in rows} == {"task.created"}
    assert rows[3]["details"] == {"title": "task 3", "owner": str(owner.agent_id)}
    assert len({row["request_id"] for row in rows}) == 1


async def test_one_bad_task_and_nothing_is_created_and_every_fault_is_told(gateway: Bench, owner: Caller) -> None:
    tasks = [
        task_body(),
        task_body(schedule_expr="61 * * * *"),
        task_body(title=" "),
        task_body(payload=payload_with(url="http://10.0.0.1/")),
        task_body(dedupe_key="k"),
        task_body(dedupe_key="k"),
        task_body(dedupe_window_seconds=5),
        task_body(created_by="019b7f1e-0000-7000-8000-000000000001"),
    ]
    answer = await owner.post("/tasks/batch", {"tasks": tasks})
    assert answer.status_code == 422
    assert {(fault["field"], fault["code"]) for fault in answer.json()["validation_errors"]} == {
        ("tasks[1].schedule_expr", "invalid_schedule"),
        ("tasks[2].title", "required"),
        ("tasks[3].payload.pipeline[0].with.url", "destination_forbidden"),
        ("tasks[5].dedupe_key", "invalid_choice"),
        ("tasks[6].dedupe_key", "required"),
    }
    not_mine = await owner.post("/tasks/batch", {"tasks": [task_body(), tasks[7]]})
    assert [fault["field"] for fault in not_mine.json()["validation_errors"]] == ["tasks[1].created_by"]
    assert await gateway.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", owner.agent_id) == 0
    assert await gateway.pool.fetchval("SELECT count(*) FROM audit_log WHERE actor_id = $1", owner.agent_id) == 0


async def test_faults_of_form_are_told_for_all_tasks_too(owner: Caller) -> None:
    tasks = [task_body(), task_body(priority=0), {"title": "x"}, 7, task_body(status="paused")]
    answer = await owner.post("/tasks/batch", {"tasks": tasks})
    assert answer.status_code == 422
    assert {fault["field"] for fault in answer.json()["validation_errors"]} == {
        "tasks[1].priority",
        *(f"tasks[2].{name}" for name in ("schedule_kind", "schedule_expr", "payload")),
        "tasks[3]",
        "tasks[4].status",
    }
    many = await owner.post("/tasks/batch", {"tasks": [task_body(priority=0)] * 200})
    assert len(many.json()["validation_errors"]) == 50


@pytest.mark.parametrize(
    "body", [{}, {"tasks": []}, {"tasks": {}}, {"tasks": [task_body()], "x": 1}, [], {"tasks": [task_body()] * 1001}]
)
async def test_what_is_no_batch_is_refused(owner: Caller, body: object) -> None:
    assert (await owner.post("/tasks/batch", body)).status_code == 422


async def test_a_key_that_is_taken_stops_all(owner: Caller) -> None:
    await owner.create_task(dedupe_key="taken")
    answer = await owner.post("/tasks/batch", {"tasks": [task_body(), task_body(dedupe_key="taken")]})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_exists")
    assert answer.json()["validation_errors"][0]["field"] == "tasks[1].dedupe_key"
    assert (await owner.get("/tasks")).json()["total"] == 1


async def test_what_exists_within_its_window_is_answered_as_it_is(owner: Caller) -> None:
    body = task_body(dedupe_key="k", dedupe_window_seconds=60)
    earlier = await owner.create_task(**body)
    made = await _create(owner, task_body(title="new"), {**body, "title": "again"})
    assert made["created"] == 1
    assert [(item["title"], item["is_new"]) for item in made["items"]] == [("new", True), ("A task", False)]
    assert made["items"][1]["id"] == earlier["id"]
    again = await owner.post("/tasks/batch", {"tasks": [body]})
    assert (again.status_code, again.json()["created"]) == (200, 0)


async def test_an_admin_creates_for_several_agents(gateway: Bench, admin: Caller, owner: Caller) -> None:
    other = await gateway.caller()
    owners = [str(owner.agent_id), str(other.agent_id), str(owner.agent_id)]
    bodies = [task_body(created_by=each, dedupe_key=key) for each, key in zip(owners, ("a", "a", "b"), strict=True)]
    made = await _create(admin, *bodies)
    assert [(await admin.show_task(item["id"]))["created_by"] for item in made["items"]] == owners


async def test_asked_twice_with_one_key_it_happens_once(owner: Caller) -> None:
    headers, body = {"Idempotency-Key": "batch"}, {"tasks": [task_body()] * 3}
    answers = [await owner.post("/tasks/batch", body, headers=headers) for _ in range(2)]
    assert answers[0].content == answers[1].content
    assert (await owner.get("/tasks")).json()["total"] == 3


async def test_two_at_once_with_the_same_keys_make_each_task_once(owner: Caller) -> None:
    tasks = [task_body(dedupe_key=f"k{number}", dedupe_window_seconds=60) for number in range(10)]
    answers = await asyncio.gather(
        owner.post("/tasks/batch", {"tasks": tasks}), owner.post("/tasks/batch", {"tasks": tasks[::-1]})
    )
    assert sorted(answer.status_code for answer in answers) == [200, 201]
    assert (await owner.get("/tasks")).json()["total"] == 10


async def test_a_thousand_tasks_are_one_request_beyond_the_usual_size(gateway: Bench, admin: Caller) -> None:
    tasks = [task_body(title=f"task {number}", description="x" * 300) for number in range(1000)]
    body = json.dumps({"tasks": tasks}).encode()
    assert len(body) > 256 * 1024
    answer = await admin.post_bytes("/tasks/batch", body)
    assert (answer.status_code, answer.json()["created"]) == (201, 1000)
    last = answer.json()["items"][-1]
    assert (last["title"], (await admin.show_task(last["id"]))["title"]) == ("task 999", "task 999")
    count = "SELECT count(*) FROM task t JOIN schedule_cursor c ON c.task_id = t.id WHERE t.agent_id = $1"
    assert await gateway.pool.fetchval(count, admin.agent_id) == 1000


async def test_more_than_the_batch_may_hold_is_refused(owner: Caller) -> None:
    answer = await owner.post_bytes("/tasks/batch", b"[" + b" " * (4 * 1024 * 1024) + b"]")
    assert (answer.status_code, answer.json()["error_code"]) == (413, "payload_too_large")
