from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from tests.integration.gateway.bench import Bench, Caller
from tests.support.rows import make_due_work

CURSOR = "SELECT * FROM schedule_cursor WHERE task_id = $1"
RUN = "SELECT * FROM task_run WHERE id = $1"


def _after(task: dict[str, Any], **delay: int) -> datetime:
    return datetime.fromisoformat(task["next_run_at"]) + timedelta(**delay)


async def _skip(owner: Caller, task: dict[str, Any], at: datetime, **options: object) -> tuple[int, dict[str, Any]]:
    answer = await owner.post(f"/tasks/{task['id']}/skip", {"scheduled_for": at.isoformat(), **options})
    return answer.status_code, answer.json()


async def test_the_skipped_occurrence_is_a_run_with_a_reason(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    at = _after(task, hours=5)
    status, done = await _skip(owner, task, at, reason="holiday")
    run_id = UUID(done["details"]["run_id"])
    run = await gateway.row(RUN, run_id)
    assert (status, run_id) == (200, occurrence_id(UUID(task["id"]), 1, at, AT_ITS_TIME))
    assert (run["status"], run["skip_reason"], run["success"]) == ("skipped", "skipped_by_request", None)
    assert (run["scheduled_for"], run["finished_at"] is not None) == (at, True)
    assert (await owner.get(f"/runs/{run_id}")).json()["skip_reason"] == "skipped_by_request"
    assert (await gateway.row(CURSOR, UUID(task["id"])))["next_at"] == _after(task)


async def test_skipping_the_next_one_moves_on_to_the_one_after_it(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    assert (await _skip(owner, task, _after(task)))[0] == 200
    assert (await owner.show_task(task["id"]))["next_run_at"] == _after(task, hours=1).isoformat().replace(
        "+00:00", "Z"
    )
    assert (await gateway.row(CURSOR, UUID(task["id"])))["next_at"] == _after(task, hours=1)


async def test_skipping_twice_changes_nothing_the_second_time(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    at = _after(task, hours=5)
    first, second = [await _skip(owner, task, at) for _ in range(2)]
    entries = "SELECT count(*) FROM audit_log WHERE subject_id = $1 AND action = 'task.occurrence_skipped'"
    assert (first[0], second[0]) == (200, 200)
    assert first[1]["details"] == second[1]["details"]
    assert await gateway.pool.fetchval(entries, task["id"]) == 1


async def test_what_waits_already_is_taken_back(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    snoozed = (await owner.post(f"/tasks/{task['id']}/snooze", {"delay_seconds": 60})).json()["details"]
    assert (await _skip(owner, task, _after(task)))[0] == 200
    assert await gateway.pool.fetchval("SELECT count(*) FROM due_work WHERE task_id = $1", UUID(task["id"])) == 0
    assert (await gateway.row(RUN, UUID(snoozed["run_id"])))["status"] == "skipped"


async def test_what_was_started_or_is_finished_cannot_be_skipped(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    task_id, at = UUID(task["id"]), _after(task)
    lease = {"locked_by": "e", "locked_until": datetime.now(UTC) + timedelta(seconds=30), "attempt": 1}
    run_id = occurrence_id(task_id, 1, at, AT_ITS_TIME)
    work_id = await make_due_work(gateway.pool, task_id, at, **lease)
    await gateway.pool.execute("UPDATE due_work SET id = $2 WHERE id = $1", work_id, run_id)
    status, problem = await _skip(owner, task, at)
    assert (status, problem["error_code"]) == (409, "already_started")
    await gateway.pool.execute("DELETE FROM due_work WHERE id = $1", run_id)
    await gateway.pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, finished_at)
           VALUES ($1, $2, $3, $4, 'succeeded', 'schedule', now())""",
        run_id,
        task_id,
        owner.agent_id,
        at,
    )
    status, problem = await _skip(owner, task, at)
    assert (status, problem["error_code"]) == (409, "already_started")
    assert (await gateway.row(RUN, run_id))["status"] == "succeeded"


async def test_the_only_time_of_a_task_can_be_skipped(gateway: Bench, owner: Caller) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    task = await owner.create_task(schedule_kind="once", schedule_expr=at.isoformat())
    assert (await _skip(owner, task, at))[0] == 200
    assert (await gateway.row(CURSOR, UUID(task["id"])))["next_at"] is None


@pytest.mark.parametrize("change", ["resume", "reschedule"])
async def test_what_is_skipped_stays_skipped_when_the_revision_changes(owner: Caller, change: str) -> None:
    task = await owner.create_task()
    await _skip(owner, task, _after(task, hours=1))
    if change == "resume":
        await owner.post(f"/tasks/{task['id']}/pause")
        await owner.post(f"/tasks/{task['id']}/resume")
    else:
        await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "*/30 * * * *"})
    shown = (await owner.get(f"/tasks/{task['id']}/upcoming")).json()["items"]
    at = _after(task, hours=1).isoformat().replace("+00:00", "Z")
    assert [item["scheduled_for"] for item in shown if item["status"] == "skipped"] == [at]


async def test_a_time_that_the_schedule_does_not_have_comes_with_the_next_one_that_it_has(owner: Caller) -> None:
    task = await owner.create_task()
    status, problem = await _skip(owner, task, _after(task, minutes=-1))
    (wrong,) = problem["validation_errors"]
    assert (status, wrong["code"], wrong["field"]) == (422, "not_an_occurrence", "scheduled_for")
    assert wrong["suggestion"] == task["next_run_at"]


async def test_a_time_within_a_blackout_is_no_occurrence(owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="0 0 * * *", exclusions=["2040-12-25"])
    status, problem = await _skip(owner, task, datetime(2040, 12, 25, tzinfo=UTC))
    assert (status, problem["validation_errors"][0]["suggestion"]) == (422, "2040-12-26T00:00:00Z")


async def test_a_time_that_has_passed_cannot_be_skipped(owner: Caller) -> None:
    task = await owner.create_task()
    status, problem = await _skip(owner, task, _after(task, hours=-2))
    assert (status, problem["error_code"]) == (409, "already_started")


async def test_only_an_occurrence_of_an_active_task_can_be_skipped(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    status, problem = await _skip(owner, task, _after(task))
    assert (status, problem["error_code"]) == (409, "task_not_active")


async def test_a_task_that_waits_for_events_has_no_occurrence_to_skip(owner: Caller) -> None:
    task = await owner.create_task(schedule_kind="event", schedule_expr="a.b")
    status, problem = await _skip(owner, task, datetime(2040, 1, 1, tzinfo=UTC))
    assert (status, problem["error_code"]) == (422, "not_an_occurrence")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "required"),
        ({"scheduled_for": "2040-01-01T00:00:00"}, "invalid_datetime"),
        ({"scheduled_for": "0001-01-01T00:00:00+14:00"}, "invalid_datetime"),
        ({"scheduled_for": "0001-01-01T00:00:00Z"}, "not_an_occurrence"),
        ({"scheduled_for": "9999-12-31T23:59:59.999999Z"}, "not_an_occurrence"),
        ({"scheduled_for": 5}, "invalid_type"),
        ({"scheduled_for": "2040-01-01T00:00:00Z", "reason": ""}, "required"),
        ({"scheduled_for": "2040-01-01T00:00:00Z", "x": 1}, "unknown_field"),
    ],
)
async def test_a_wrong_time_is_refused(owner: Caller, options: dict[str, Any], code: str) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/skip", options)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)


async def test_what_lies_further_ahead_is_left_to_an_exclusion(owner: Caller) -> None:
    task = await owner.create_task()
    status, refused = await _skip(owner, task, _after(task, days=29))
    assert (status, refused["error_code"]) == (422, "out_of_range")
    assert "exclusion" in refused["detail"]
