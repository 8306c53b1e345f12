"""`POST /events/replay`."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.vocabulary.ids import random_id
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller

EARLIER = "2026-01-01T00:00:00Z"
WORK = "SELECT id, source, event FROM due_work WHERE task_id = $1 AND source = 'backfill' ORDER BY available_at, id"


def topic() -> str:
    return f"test.{random_id()}"


async def published(caller: Caller, *topics: str) -> list[dict[str, Any]]:
    """In this order; each is told its number."""
    batch = [{"topic": name, "payload": {"n": n}} for n, name in enumerate(topics)]
    told: list[dict[str, Any]] = (await caller.post("/events/batch", {"events": batch})).json()["events"]
    return told


async def listening(caller: Caller, pattern: str, **fields: object) -> dict[str, Any]:
    return await caller.create_task(schedule_kind="event", schedule_expr=pattern, **fields)


async def replay(caller: Caller, task: dict[str, Any], since: str, **fields: object) -> dict[str, Any]:
    answer = await caller.post("/events/replay", {"task_id": task["id"], "from": since, **fields})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def given(gateway: Bench, task: dict[str, Any]) -> list[int]:
    """The events of its waiting runs, in the order in which they will run."""
    return [row["event"]["payload"]["n"] for row in await gateway.pool.fetch(WORK, UUID(task["id"]))]


async def test_a_task_is_given_the_past_events_that_it_listens_to(gateway: Bench, owner: Caller) -> None:
    q, other = topic(), await gateway.caller()
    told = await published(other, f"{q}.a", f"{q}.b", f"{q}.a", f"{q}.c.d", f"{q}.a")
    task = await listening(owner, f"{q}.*", event_filter="payload.n != 2")

    answer = await replay(owner, task, told[0]["published_at"])

    assert (answer["replayed"], answer["is_dry_run"], answer["has_more"], answer["next_from"]) == (
        3,
        False,
        False,
        None,
    )
    rows = await gateway.pool.fetch(WORK, UUID(task["id"]))
    assert [row["event"]["id"] for row in rows] == [told[n]["id"] for n in (0, 1, 4)]
    assert [str(row["id"]) for row in rows] == answer["run_ids"]
    runs = (await owner.get("/runs", task_id=task["id"])).json()["items"]
    assert {(run["status"], run["source"]) for run in runs} == {("queued", "backfill")}
    first = (await owner.get(f"/runs/{answer['run_ids'][0]}")).json()["event"]
    assert (first["topic"], first["payload"], first["depth"]) == (f"{q}.a", {"n": 0}, 0)


async def test_a_dry_run_only_counts(gateway: Bench, owner: Caller) -> None:
    name = topic()
    told = await published(owner, name, name)
    task = await listening(owner, name)
    answer = await replay(owner, task, told[0]["published_at"], dry_run=True)
    assert (answer["replayed"], answer["run_ids"], answer["is_dry_run"]) == (2, [], True)
    assert await given(gateway, task) == []
    assert (
        await gateway.pool.fetchval(
            "SELECT count(*) FROM audit_log WHERE action = 'task.events_replayed' AND subject_id = $1", task["id"]
        )
        == 0
    )


async def test_the_range_ends_before_its_end_and_goes_on_where_it_was_cut(gateway: Bench, owner: Caller) -> None:
    name = topic()
    told = await published(owner, *([name] * 5))
    task = await listening(owner, name)
    first = await replay(owner, task, told[1]["published_at"], to=told[4]["published_at"], limit=2)
    assert (first["replayed"], first["has_more"]) == (2, True)
    second = await replay(owner, task, first["next_from"], to=told[4]["published_at"])
    assert (second["replayed"], second["has_more"]) == (1, False)
    assert await given(gateway, task) == [1, 2, 3]


async def test_a_topic_narrows_it_and_the_filter_can_be_ignored(owner: Caller) -> None:
    q = topic()
    told = await published(owner, f"{q}.a", f"{q}.b", f"{q}.c.d")
    task = await listening(owner, f"{q}.*", event_filter="payload.n > 0")
    since = told[0]["published_at"]
    counts = [
        (await replay(owner, task, since, dry_run=True, **fields))["replayed"]
        for fields in (
            {},
            {"topic": f"{q}.b"},
            {"topic": f"{q}.a"},
            {"topic": f"{q}.**"},
            {"topic": f"{q}.**", "ignore_filter": True},
            {"ignore_filter": True},
        )
    ]
    assert counts == [1, 1, 0, 1, 3, 2]


async def test_asked_again_it_makes_new_runs_unless_the_key_is_the_same(gateway: Bench, owner: Caller) -> None:
    name, headers = topic(), {"Idempotency-Key": random_id()}
    told = await published(owner, name)
    task = await listening(owner, name)
    body = {"task_id": task["id"], "from": told[0]["published_at"]}
    first, again = [(await owner.post("/events/replay", body, headers)).json() for _ in range(2)]
    other = (await owner.post("/events/replay", body)).json()
    assert (first, first["run_ids"] == other["run_ids"]) == (again, False)
    assert await given(gateway, task) == [0, 0]


async def test_it_leaves_one_audit_entry(gateway: Bench, owner: Caller) -> None:
    name = topic()
    told = await published(owner, name)
    task = await listening(owner, name)
    await replay(owner, task, told[0]["published_at"])
    query = "SELECT action, details FROM audit_log WHERE subject_id = $1 AND action <> 'task.created'"
    entry = await gateway.row(query, task["id"])
    assert (entry["action"], entry["details"]["events"]) == ("task.events_replayed", 1)


async def test_what_it_made_does_not_count_towards_max_runs(owner: Caller) -> None:
    name = topic()
    told = await published(owner, name, name)
    task = await listening(owner, name, max_runs=1)
    assert (await replay(owner, task, told[0]["published_at"]))["replayed"] == 2
    assert (await owner.post("/events", {"topic": name})).json()["listeners"] == 1


async def test_only_an_active_task_of_ones_own_that_waits_for_events_is_given_any(
    gateway: Bench, owner: Caller, admin: Caller
) -> None:
    timed, paused, own = await owner.create_task(), await listening(owner, topic()), await listening(owner, topic())
    await owner.post(f"/tasks/{paused['id']}/pause")
    other = await gateway.caller()

    async def refusal(caller: Caller, task_id: str) -> tuple[int, str]:
        answer = await caller.post("/events/replay", {"task_id": task_id, "from": "2026-06-01T00:00:00Z"})
        return answer.status_code, answer.json().get("error_code", "")

    assert await refusal(owner, timed["id"]) == (409, "not_an_event_task")
    assert await refusal(owner, paused["id"]) == (409, "task_not_active")
    assert await refusal(other, own["id"]) == await refusal(owner, str(uuid4())) == (404, "not_found")
    assert await refusal(admin, own["id"]) == (200, "")
    await gateway.pool.execute("UPDATE agent SET scopes = '{tasks:write}' WHERE id = $1", owner.agent_id)
    assert await refusal(admin, own["id"]) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "task_id"),
        ({"task_id": "7"}, "invalid_id", "task_id"),
        ({"from": "yesterday"}, "invalid_datetime", "from"),
        ({"from": "2026-01-01T00:00:00"}, "invalid_datetime", "from"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "out_of_range", "from"),
        ({"from": "2020-02-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}, "out_of_range", "from"),
        ({"limit": 0}, "out_of_range", "limit"),
        ({"limit": 1001}, "out_of_range", "limit"),
        ({"topic": "Order"}, "invalid_topic", "topic"),
        ({"topics": "order"}, "unknown_field", "topics"),
    ],
)
async def test_a_wrong_value_is_named(owner: Caller, body: dict[str, object], code: str, field: str) -> None:
    task = await listening(owner, topic())
    usual = {"task_id": task["id"], "from": EARLIER, "to": "2026-02-01T00:00:00Z"} if body else {"from": EARLIER}
    answer = await owner.post("/events/replay", {**usual, **body})
    assert (answer.status_code, answer.json()["error_code"]) == (422, code), answer.text
    assert answer.json()["validation_errors"][0]["field"] == field


@pytest.mark.parametrize("scope", [Scope.TASKS_WRITE, Scope.EVENTS_READ])
async def test_it_needs_both_scopes(gateway: Bench, scope: Scope) -> None:
    caller = await gateway.caller(scope)
    answer = await caller.post("/events/replay", {"task_id": str(uuid4()), "from": EARLIER})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")
