from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller, payload_with
from tests.support.rows import make_due_work


async def _rev(gateway: Bench, task: dict[str, Any]) -> int:
    rev: int = await gateway.pool.fetchval("SELECT schedule_rev FROM task WHERE id = $1", UUID(task["id"]))
    return rev


async def test_only_the_given_fields_change(owner: Caller) -> None:
    task = await owner.create_task(tags=["a"], max_runs=5)
    answer = await owner.put(f"/tasks/{task['id']}", {"title": "Renamed", "priority": 2})
    changed = answer.json()
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert changed == {
        **task,
        "title": "Renamed",
        "priority": 2,
        "version": 2,
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > task["updated_at"]


async def test_null_removes_a_value_that_may_be_absent(owner: Caller) -> None:
    task = await owner.create_task(dedupe_key="key", max_runs=5)
    changed = (await owner.put(f"/tasks/{task['id']}", {"dedupe_key": None, "max_runs": None})).json()
    assert (changed["dedupe_key"], changed["max_runs"]) == (None, None)


async def test_a_change_that_changes_nothing_leaves_the_version(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(starts_at="2031-01-01T00:00:00Z", payload=payload_with(url="https://example.com/"))
    same = {name: task[name] for name in ("title", "payload", "tags", "schedule_expr", "starts_at", "max_runs")}
    assert (await owner.put(f"/tasks/{task['id']}", same)).json() == task
    assert (await owner.put(f"/tasks/{task['id']}", {})).json() == task
    entries = await gateway.pool.fetchval("SELECT count(*) FROM audit_log WHERE subject_id = $1", task["id"])
    assert entries == 1


async def test_another_schedule_is_a_new_revision_with_a_new_next_time(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="0 0 1 1 *")
    changed = (await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "0 0 1 2 *"})).json()
    cursor = await gateway.row("SELECT * FROM schedule_cursor WHERE task_id = $1", UUID(task["id"]))
    assert "-02-01T" in changed["next_run_at"]
    assert datetime.fromisoformat(changed["next_run_at"]) == cursor["next_at"]
    assert (await _rev(gateway, task), cursor["schedule_rev"]) == (2, 2)


async def test_another_title_is_no_new_revision(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.put(f"/tasks/{task['id']}", {"title": "x"})
    assert await _rev(gateway, task) == 1


async def test_work_of_the_old_schedule_is_withdrawn_and_what_was_due_is_recorded(
    gateway: Bench, owner: Caller
) -> None:
    task = await owner.create_task()
    now = datetime.now(UTC)
    due = await make_due_work(gateway.pool, UUID(task["id"]), now - timedelta(seconds=1))
    await make_due_work(gateway.pool, UUID(task["id"]), now + timedelta(seconds=20))
    manual = await make_due_work(gateway.pool, UUID(task["id"]), now, source="manual")
    retried = await make_due_work(gateway.pool, UUID(task["id"]), now + timedelta(seconds=5), started_at=now)
    leased = await make_due_work(
        gateway.pool, UUID(task["id"]), now, locked_by="x", locked_until=now + timedelta(seconds=30), attempt=1
    )
    await owner.put(f"/tasks/{task['id']}", {"timezone": "Asia/Tokyo"})
    left = {
        row["id"] for row in await gateway.pool.fetch("SELECT id FROM due_work WHERE task_id = $1", UUID(task["id"]))
    }
    runs = await gateway.pool.fetch("SELECT * FROM task_run WHERE task_id = $1", UUID(task["id"]))
    assert left == {manual, retried, leased}
    assert [(run["id"], run["status"], run["skip_reason"]) for run in runs] == [(due, "canceled", "schedule_changed")]


async def test_a_paused_task_can_be_changed_and_stays_paused(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    changed = (await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "5 * * * *"})).json()
    assert (changed["status"], changed["next_run_at"]) == ("paused", None)
    assert await gateway.pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", UUID(task["id"])) == 0


async def test_a_mended_schedule_has_no_error_any_more(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute("UPDATE task SET schedule_error = 'bad' WHERE id = $1", UUID(task["id"]))
    assert (await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "5 * * * *"})).json()["schedule_error"] is None


async def test_a_new_expression_is_anchored_at_its_change_and_a_new_zone_is_not(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(schedule_kind="rrule", schedule_expr="FREQ=DAILY;INTERVAL=2")
    anchor = "SELECT anchor_at FROM task WHERE id = $1"
    await gateway.pool.execute("UPDATE task SET anchor_at = '2026-01-01Z' WHERE id = $1", UUID(task["id"]))
    await owner.put(f"/tasks/{task['id']}", {"timezone": "Asia/Tokyo"})
    assert (await gateway.pool.fetchval(anchor, UUID(task["id"]))) == datetime(2026, 1, 1, tzinfo=UTC)
    await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "FREQ=DAILY;INTERVAL=3"})
    assert (await gateway.pool.fetchval(anchor, UUID(task["id"]))) > datetime(2026, 2, 1, tzinfo=UTC)


async def test_a_task_that_has_run_often_enough_cannot_be_limited_to_less(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source)
           SELECT gen_random_uuid(), id, agent_id, now(), 'succeeded', 'schedule'
             FROM task, generate_series(1, 3) WHERE id = $1""",
        UUID(task["id"]),
    )
    refused = await owner.put(f"/tasks/{task['id']}", {"max_runs": 3})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "schedule_never_fires")
    await owner.put(f"/tasks/{task['id']}", {"max_runs": 4})
    planned = "SELECT runs_planned FROM schedule_cursor WHERE task_id = $1"
    assert await gateway.pool.fetchval(planned, UUID(task["id"])) == 3


@pytest.mark.parametrize("if_match", ['"1"', "*", '"7", "1"', "1"])
async def test_a_change_of_the_version_that_was_read_is_made(owner: Caller, if_match: str) -> None:
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": if_match})
    assert answer.status_code == 200


@pytest.mark.parametrize("if_match", ['"2"', 'W/"1"', '""', '"nonsense"'])
async def test_a_change_of_another_version_is_refused(owner: Caller, if_match: str) -> None:
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": if_match})
    assert (answer.status_code, answer.json()["error_code"]) == (412, "version_conflict")
    assert await owner.show_task(task["id"]) == task


@pytest.mark.parametrize("if_match", ["nonsense", "", '"1', "'1'", '"1" "2"', "*, *"])
async def test_an_if_match_that_names_no_version_is_refused(owner: Caller, if_match: str) -> None:
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": if_match})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"status": "active"}, "unknown_field"),
        ({"created_by": "00000000-0000-7000-8000-000000000000"}, "unknown_field"),
        ({"version": 7}, "unknown_field"),
        ({"title": " "}, "required"),
        ({"title": None}, "invalid_type"),
        ({"schedule_expr": "bad"}, "invalid_schedule"),
        ({"schedule_expr": "* * * * * *"}, "schedule_too_frequent"),
        ({"schedule_kind": "event", "schedule_expr": "a b"}, "invalid_schedule"),
        ({"event_filter": "true"}, "invalid_schedule"),
        ({"exclusions": ["2030-02-30"]}, "invalid_datetime"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "schedule_never_fires"),
        ({"payload": payload_with(url="http://10.0.0.1/")}, "destination_forbidden"),
        ({"priority": 10}, "out_of_range"),
    ],
)
async def test_a_wrong_change_is_refused_and_changes_nothing(owner: Caller, changes: dict[str, Any], code: str) -> None:
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", changes)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert await owner.show_task(task["id"]) == task


async def test_an_owner_may_end_a_schedule_that_only_an_admin_could_make_so_frequent(
    owner: Caller, admin: Caller
) -> None:
    task = await admin.create_task(schedule_expr="* * * * * *", created_by=str(owner.agent_id))
    assert (await owner.put(f"/tasks/{task['id']}", {"ends_at": "2040-01-01T00:00:00Z"})).status_code == 200


async def test_a_dedupe_key_of_another_living_task_is_refused(owner: Caller) -> None:
    await owner.create_task(dedupe_key="key")
    task = await owner.create_task()
    answer = await owner.put(f"/tasks/{task['id']}", {"dedupe_key": "key"})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_exists")


async def test_a_canceled_task_cannot_be_changed(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/cancel")
    answer = await owner.put(f"/tasks/{task['id']}", {"title": "x"})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "task_not_active")
