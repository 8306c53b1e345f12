from typing import Any
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller

EVENT: dict[str, Any] = {"schedule_kind": "event", "schedule_expr": "order.**"}


async def _cursors(gateway: Bench, task: dict[str, Any]) -> int:
    query = "SELECT count(*) FROM schedule_cursor WHERE task_id = $1"
    count: int = await gateway.pool.fetchval(query, UUID(task["id"]))
    return count


async def test_it_waits_without_a_cursor_and_without_a_next_time(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(**EVENT, event_filter='payload.total > 100 && payload.country == "MD"')
    assert (task["status"], task["next_run_at"]) == ("active", None)
    assert task["event_filter"] == 'payload.total > 100 && payload.country == "MD"'
    assert await owner.show_task(task["id"]) == task
    assert await _cursors(gateway, task) == 0


async def test_it_can_be_run_paused_resumed_and_canceled(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(**EVENT)
    for action in ("run_now", "pause", "resume", "run_now", "cancel"):
        answer = await owner.post(f"/tasks/{task['id']}/{action}")
        assert answer.status_code == 200, answer.text
        assert await _cursors(gateway, task) == 0


async def test_a_task_may_follow_the_clock_first_and_wait_for_events_then(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    changed = (await owner.put(f"/tasks/{task['id']}", {**EVENT, "event_filter": "true"})).json()
    assert (changed["next_run_at"], await _cursors(gateway, task)) == (None, 0)
    refused = await owner.put(f"/tasks/{task['id']}", {"schedule_kind": "cron", "schedule_expr": "0 * * * *"})
    assert refused.json()["validation_errors"][0]["field"] == "event_filter"
    back = {"schedule_kind": "cron", "schedule_expr": "0 * * * *", "event_filter": None}
    assert (await owner.put(f"/tasks/{task['id']}", back)).json()["next_run_at"] == task["next_run_at"]
    assert await _cursors(gateway, task) == 1


async def test_another_filter_is_no_new_schedule(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(**EVENT)
    await owner.put(f"/tasks/{task['id']}", {"event_filter": "payload.a == 1"})
    assert await gateway.pool.fetchval("SELECT schedule_rev FROM task WHERE id = $1", UUID(task["id"])) == 1


async def test_a_filter_that_does_not_compile_is_refused_where_it_is_wrong(owner: Caller) -> None:
    task = await owner.create_task(**EVENT)
    answer = await owner.put(f"/tasks/{task['id']}", {"event_filter": "payload.a +* 2"})
    (wrong,) = answer.json()["validation_errors"]
    assert (answer.status_code, wrong["code"], wrong["field"]) == (422, "invalid_schedule", "event_filter")
    assert wrong["position"] == len("payload.a +")


async def test_a_topic_that_is_wrong_comes_with_the_place_and_a_suggestion(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", {"schedule_kind": "event", "schedule_expr": "order.Placed"})
    (wrong,) = answer.json()["validation_errors"]
    assert (wrong["position"], wrong["suggestion"]) == (6, "order.placed")


async def test_blackouts_make_a_new_revision(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="0 0 25 12 *")
    changed = (await owner.put(f"/tasks/{task['id']}", {"exclusions": [task["next_run_at"][:10]]})).json()
    assert int(changed["next_run_at"][:4]) == int(task["next_run_at"][:4]) + 1
    assert changed["exclusions"] == [task["next_run_at"][:10]]
    assert await gateway.pool.fetchval("SELECT schedule_rev FROM task WHERE id = $1", UUID(task["id"])) == 2


@pytest.mark.parametrize(
    ("nested", "status"),
    [("(" * 1024, 422), ("[" * 1024, 422), ("!" * 1023 + "a", 200), ("a?" * 512, 422), ("{1:" * 341, 422)],
)
async def test_a_filter_that_is_deeply_nested_is_answered(owner: Caller, nested: str, status: int) -> None:
    task = await owner.create_task(**EVENT)
    assert (await owner.put(f"/tasks/{task['id']}", {"event_filter": nested})).status_code == status
