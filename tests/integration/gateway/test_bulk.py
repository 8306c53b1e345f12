import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.gateway.tasks import bulk
from tests.integration.gateway.bench import Bench, Caller, task_body
from tests.support.rows import make_due_work

ACTIONS = ("pause", "resume", "cancel")


async def _make(caller: Caller, count: int, **changes: object) -> list[str]:
    answer = await caller.post("/tasks/batch", {"tasks": [task_body(**changes)] * count})
    return [item["id"] for item in answer.json()["items"]]


async def _bulk(caller: Caller, action: str, **options: object) -> dict[str, Any]:
    answer = await caller.post(f"/tasks/bulk/{action}", options)
    assert answer.status_code == 200, answer.text
    done: dict[str, Any] = answer.json()
    assert done["success"] is True
    details: dict[str, Any] = done["details"]
    return details


async def _statuses(caller: Caller, ids: list[str]) -> list[str]:
    return [(await caller.show_task(each))["status"] for each in ids]


async def test_a_dry_run_tells_how_many_and_which_and_changes_nothing(owner: Caller) -> None:
    ids = await _make(owner, 12, tags=["a"])
    await _make(owner, 1)
    details = await _bulk(owner, "pause", filter={"tag": "a"}, dry_run=True)
    assert (details["matched"], details["changed"], details["remaining"]) == (12, 0, 12)
    assert [example["id"] for example in details["examples"]] == ids[:10]
    assert set(await _statuses(owner, ids)) == {"active"}


async def test_tasks_are_paused_resumed_and_canceled_by_a_filter(owner: Caller) -> None:
    ids, other = await _make(owner, 3, tags=["a"]), await _make(owner, 1)
    for action, status in (("pause", "paused"), ("resume", "active"), ("cancel", "canceled")):
        details = await _bulk(owner, action, filter={"tag": "a"})
        assert (details["matched"], details["changed"], details["remaining"], details["failed"]) == (3, 3, 0, [])
        assert set(await _statuses(owner, ids)) == {status}
    assert await _statuses(owner, other) == ["active"]
    assert (await _bulk(owner, "cancel", filter={"tag": "a"}))["matched"] == 0


async def test_each_task_changes_as_if_it_were_asked_for_alone(gateway: Bench, owner: Caller) -> None:
    one, two = await _make(owner, 2, tags=["a"])
    now = await gateway.pool.fetchval("SELECT now()")
    due = await make_due_work(gateway.pool, UUID(one), now)
    await _bulk(owner, "pause", filter={"tag": "a"}, note="quiet")
    task = await owner.show_task(one)
    assert (task["status"], task["status_note"], task["version"], task["next_run_at"]) == ("paused", "quiet", 2, None)
    assert await gateway.pool.fetchval("SELECT skip_reason FROM task_run WHERE id = $1", due) == "task_paused"
    assert await gateway.pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", UUID(two)) == 0
    await _bulk(owner, "cancel", filter={"tag": "a"}, note="over")
    entries = await gateway.pool.fetch(
        "SELECT action, details FROM audit_log WHERE subject_id = $1 ORDER BY at, seq", two
    )
    assert [entry["action"] for entry in entries] == ["task.created", "task.paused", "task.canceled"]
    assert entries[2]["details"]["note"] == "over"


@pytest.mark.parametrize(
    "wanted",
    [
        {"status": "active"},
        {"schedule_kind": "rrule"},
        {"priority": 2},
        {"q": "NEEDLE"},
        {"tag": "a", "priority": 2},
    ],
)
async def test_filters_mean_what_they_mean_in_a_list(owner: Caller, wanted: dict[str, Any]) -> None:
    await owner.create_task()
    meant = await owner.create_task(
        title="a needle", schedule_kind="rrule", schedule_expr="FREQ=DAILY", priority=2, tags=["a"]
    )
    listed = (await owner.get("/tasks", **wanted)).json()
    details = await _bulk(owner, "pause", filter=wanted, dry_run=True)
    assert details["matched"] == listed["total"]
    assert meant["id"] in {example["id"] for example in details["examples"]}


async def test_of_tasks_named_by_their_ids_each_failure_is_told(gateway: Bench, owner: Caller) -> None:
    active, paused, canceled = await _make(owner, 3)
    await owner.post(f"/tasks/{paused}/pause")
    await owner.post(f"/tasks/{canceled}/cancel")
    foreign = (await (await gateway.caller()).create_task())["id"]
    missing = str(uuid4())
    details = await _bulk(owner, "pause", filter={"ids": [active, paused, canceled, foreign, missing, active]})
    assert (details["matched"], details["changed"], details["unchanged"], details["remaining"]) == (5, 1, 1, 0)
    assert {each["id"]: each["error_code"] for each in details["failed"]} == {
        canceled: "task_not_active",
        foreign: "not_found",
        missing: "not_found",
    }


async def test_other_filters_beside_ids_choose_among_them(owner: Caller) -> None:
    red, blue = (await owner.create_task(tags=["red"]))["id"], (await owner.create_task(tags=["blue"]))["id"]
    details = await _bulk(owner, "cancel", filter={"ids": [red, blue], "tag": "red"})
    assert (details["matched"], details["changed"]) == (1, 1)
    assert await _statuses(owner, [red, blue]) == ["canceled", "active"]


async def test_an_agent_reaches_its_own_tasks_and_an_admin_those_of_all(
    gateway: Bench, owner: Caller, admin: Caller
) -> None:
    ids = await _make(owner, 2, tags=["shared"])
    other = await gateway.caller()
    assert (await _bulk(other, "pause", filter={"tag": "shared"}))["matched"] == 0
    assert (await _bulk(other, "pause", filter={"created_by": str(owner.agent_id)}))["matched"] == 0
    details = await _bulk(admin, "pause", filter={"created_by": str(owner.agent_id)})
    assert details["changed"] == 2
    assert set(await _statuses(owner, ids)) == {"paused"}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"filter": {}}, "filter"),
        ({"filter": {"status": None}}, "filter"),
        ({}, "filter"),
        ({"filter": {"colour": "red"}}, "filter.colour"),
        ({"filter": {"ids": []}}, "filter.ids"),
        ({"filter": {"ids": ["x"]}}, "filter.ids[0]"),
        ({"filter": {"q": "x" * 201}}, "filter.q"),
        ({"filter": {"tag": "a"}, "dry_run": "yes"}, "dry_run"),
    ],
)
async def test_what_does_not_say_which_tasks_is_refused(
    owner: Caller, action: str, options: dict[str, Any], field: str
) -> None:
    answer = await owner.post(f"/tasks/bulk/{action}", options)
    assert answer.status_code == 422
    assert [fault["field"] for fault in answer.json()["validation_errors"]] == [field]


async def test_what_cannot_be_resumed_is_told_and_the_rest_is_resumed(gateway: Bench, owner: Caller) -> None:
    good, over = await _make(owner, 2, tags=["a"])
    await _bulk(owner, "pause", filter={"tag": "a"})
    await gateway.pool.execute(
        "UPDATE task SET schedule_kind = 'once', schedule_expr = '2020-01-01T00:00:00Z' WHERE id = $1", UUID(over)
    )
    details = await _bulk(owner, "resume", filter={"tag": "a"})
    assert (details["changed"], [each["error_code"] for each in details["failed"]]) == (1, ["schedule_never_fires"])
    assert await _statuses(owner, [good, over]) == ["active", "paused"]


async def test_more_than_one_request_changes_remain_and_are_changed_by_the_next(
    own_gateway: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "TASKS_PER_BULK", 5)
    monkeypatch.setattr(bulk, "TASKS_AT_ONCE", 2)
    owner = await own_gateway.caller()
    ids = await _make(owner, 8, tags=["a"])
    first = await _bulk(owner, "pause", filter={"tag": "a"})
    assert (first["matched"], first["changed"], first["remaining"]) == (8, 5, 3)
    assert await _statuses(owner, sorted(ids)) == ["paused"] * 5 + ["active"] * 3
    second = await _bulk(owner, "pause", filter={"tag": "a"})
    assert (second["matched"], second["changed"], second["remaining"]) == (3, 3, 0)


async def test_asked_twice_with_one_key_the_answer_is_the_same(owner: Caller) -> None:
    await _make(owner, 2, tags=["a"])
    headers, body = {"Idempotency-Key": "bulk"}, {"filter": {"tag": "a"}}
    answers = [await owner.post("/tasks/bulk/pause", body, headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].json()["details"]["changed"] == 2
    assert answers[1].headers["idempotency-replayed"] == "true"


async def test_two_at_once_change_each_task_once(gateway: Bench, owner: Caller) -> None:
    ids = await _make(owner, 30, tags=["a"])
    both = await asyncio.gather(*(_bulk(owner, "cancel", filter={"tag": "a"}) for _ in range(2)))
    assert sum(details["changed"] for details in both) == 30
    canceled = "SELECT count(*) FROM audit_log WHERE actor_id = $1 AND action = 'task.canceled'"
    assert await gateway.pool.fetchval(canceled, owner.agent_id) == 30
    assert set(await _statuses(owner, ids)) == {"canceled"}
