from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from redis.asyncio import Redis

from shared.streams.doorbell import Bell
from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from tests.integration.gateway.bench import Bench, Caller
from tests.support.rows import make_due_work
from tests.support.waiting import wait_until

WORK = "SELECT * FROM due_work WHERE task_id = $1 ORDER BY scheduled_for"
CURSOR = "SELECT * FROM schedule_cursor WHERE task_id = $1"


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def _snoozed(owner: Caller, task: dict[str, Any], **options: object) -> dict[str, Any]:
    answer = await owner.post(f"/tasks/{task['id']}/snooze", options)
    assert answer.status_code == 200, answer.text
    details: dict[str, Any] = answer.json()["details"]
    return details


async def test_an_occurrence_beyond_the_horizon_is_materialised_and_keeps_its_identity(
    gateway: Bench, owner: Caller
) -> None:
    task = await owner.create_task(schedule_expr="0 0 1 1 *")
    nominal = _at(task["next_run_at"])
    details = await _snoozed(owner, task, delay_seconds=600, reason="later, please")
    work = await gateway.row(WORK, UUID(task["id"]))
    cursor = await gateway.row(CURSOR, UUID(task["id"]))
    assert UUID(details["run_id"]) == work["id"] == occurrence_id(UUID(task["id"]), 1, nominal, AT_ITS_TIME)
    assert (_at(details["scheduled_for"]), work["scheduled_for"]) == (nominal, nominal)
    assert _at(details["run_at"]) == work["run_at"] == nominal + timedelta(minutes=10)
    assert (cursor["next_at"], cursor["runs_planned"]) == (nominal.replace(year=nominal.year + 1), 1)
    assert _at((await owner.show_task(task["id"]))["next_run_at"]) == work["run_at"]


async def test_of_what_waits_the_next_one_moves_and_no_other(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    task_id, now = UUID(task["id"]), datetime.now(UTC)
    first = await make_due_work(gateway.pool, task_id, now + timedelta(seconds=10))
    second = await make_due_work(gateway.pool, task_id, now + timedelta(seconds=20))
    until = (now + timedelta(hours=1)).replace(microsecond=0)
    details = await _snoozed(owner, task, until=until.isoformat())
    rows = {row["id"]: row for row in await gateway.pool.fetch(WORK, task_id)}
    assert (UUID(details["run_id"]), rows[first]["run_at"]) == (first, until)
    assert rows[first]["scheduled_for"] == now + timedelta(seconds=10)
    assert rows[second]["run_at"] == now + timedelta(seconds=20)
    assert (await gateway.row(CURSOR, task_id))["next_at"] == _at(task["next_run_at"])


async def test_a_leased_row_is_never_touched(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    task_id, now = UUID(task["id"]), datetime.now(UTC)
    lease = {"locked_by": "alive", "locked_until": now + timedelta(seconds=30), "attempt": 1}
    leased = await make_due_work(gateway.pool, task_id, now, **lease)
    before = await gateway.row("SELECT * FROM due_work WHERE id = $1", leased)
    details = await _snoozed(owner, task, delay_seconds=60)
    assert _at(details["scheduled_for"]) == _at(task["next_run_at"])
    assert await gateway.row("SELECT * FROM due_work WHERE id = $1", leased) == before


async def test_snoozing_again_moves_the_same_occurrence_further(owner: Caller) -> None:
    task = await owner.create_task()
    first = await _snoozed(owner, task, delay_seconds=60)
    second = await _snoozed(owner, task, delay_seconds=60)
    assert first["run_id"] == second["run_id"]
    assert _at(second["run_at"]) - _at(first["run_at"]) == timedelta(seconds=60)


async def test_the_only_time_of_a_task_can_be_postponed(gateway: Bench, owner: Caller) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    task = await owner.create_task(schedule_kind="once", schedule_expr=at.isoformat())
    details = await _snoozed(owner, task, delay_seconds=3600)
    cursor = await gateway.row(CURSOR, UUID(task["id"]))
    assert (_at(details["run_at"]), cursor["next_at"]) == (at + timedelta(hours=1), None)


async def test_the_last_run_that_is_allowed_leaves_nothing_ahead(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(max_runs=1)
    await _snoozed(owner, task, delay_seconds=60)
    cursor = await gateway.row(CURSOR, UUID(task["id"]))
    assert (cursor["next_at"], cursor["runs_planned"]) == (None, 1)


async def test_an_occurrence_that_is_skipped_is_passed_over(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    nominal = _at(task["next_run_at"])
    second = nominal + timedelta(hours=1)
    for at in (second, nominal):
        answer = await owner.post(f"/tasks/{task['id']}/skip", {"scheduled_for": at.isoformat()})
        assert answer.status_code == 200
    details = await _snoozed(owner, task, delay_seconds=60)
    assert _at(details["scheduled_for"]) == nominal + timedelta(hours=2)
    cursor = await gateway.row(CURSOR, UUID(task["id"]))
    assert (cursor["next_at"], cursor["runs_planned"]) == (nominal + timedelta(hours=3), 3)


async def test_what_a_scheduler_has_missed_stays_with_the_scheduler(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    missed = _at(task["next_run_at"]) - timedelta(hours=3)
    await gateway.pool.execute("UPDATE schedule_cursor SET next_at = $2 WHERE task_id = $1", UUID(task["id"]), missed)
    details = await _snoozed(owner, task, delay_seconds=60)
    assert _at(details["scheduled_for"]) == _at(task["next_run_at"])
    assert (await gateway.row(CURSOR, UUID(task["id"])))["next_at"] == missed


async def test_work_that_is_late_is_postponed_from_now_on(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    now = datetime.now(UTC)
    await make_due_work(gateway.pool, UUID(task["id"]), now - timedelta(hours=1))
    assert _at((await _snoozed(owner, task, delay_seconds=60))["run_at"]) >= now + timedelta(seconds=60)


async def test_the_trail_tells_where_it_was_and_where_it_went(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    details = await _snoozed(owner, task, delay_seconds=60, reason="busy")
    entry = await gateway.row("SELECT * FROM audit_log WHERE subject_id = $1 AND action = 'task.snoozed'", task["id"])
    assert entry["details"] == {
        "run_id": details["run_id"],
        "scheduled_for": task["next_run_at"],
        "changed": {"run_at": {"before": task["next_run_at"], "after": details["run_at"]}},
        "reason": "busy",
    }


async def test_the_schedulers_bell_rings(owner: Caller, redis: Redis) -> None:
    task = await owner.create_task()
    await wait_until(lambda: redis.xlen(Bell.TASK_CHANGES))
    await redis.delete(Bell.TASK_CHANGES)
    await _snoozed(owner, task, delay_seconds=60)
    await wait_until(lambda: redis.xlen(Bell.TASK_CHANGES))


async def test_only_an_active_task_can_be_snoozed(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    answer = await owner.post(f"/tasks/{task['id']}/snooze", {"delay_seconds": 60})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "task_not_active")


async def test_where_nothing_lies_ahead_there_is_nothing_to_snooze(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute("UPDATE schedule_cursor SET next_at = NULL WHERE task_id = $1", UUID(task["id"]))
    waits = await owner.create_task(schedule_kind="event", schedule_expr="a.b")
    for each in (task, waits):
        answer = await owner.post(f"/tasks/{each['id']}/snooze", {"delay_seconds": 60})
        assert (answer.status_code, answer.json()["error_code"]) == (409, "nothing_to_snooze")


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({}, "required", "delay_seconds"),
        ({"delay_seconds": 60, "until": "2040-01-01T00:00:00Z"}, "invalid_choice", "until"),
        ({"delay_seconds": 0}, "out_of_range", "delay_seconds"),
        ({"delay_seconds": -1}, "out_of_range", "delay_seconds"),
        ({"delay_seconds": 604801}, "out_of_range", "delay_seconds"),
        ({"delay_seconds": "60"}, "invalid_type", "delay_seconds"),
        ({"until": "2020-01-01T00:00:00Z"}, "out_of_range", "until"),
        ({"until": "2099-01-01T00:00:00Z"}, "out_of_range", "until"),
        ({"until": "2099-01-01T00:00:00"}, "invalid_datetime", "until"),
        ({"until": "0001-01-01T00:00:00+14:00"}, "invalid_datetime", "until"),
        ({"delay_seconds": 60, "reason": "x" * 501}, "too_long", "reason"),
        ({"delay_seconds": 60, "force": True}, "unknown_field", "force"),
    ],
)
async def test_a_wrong_delay_is_refused_and_moves_nothing(
    gateway: Bench, owner: Caller, options: dict[str, Any], code: str, field: str
) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/snooze", options)
    problem = answer.json()
    fields = [each["field"] for each in problem["validation_errors"]]
    assert (answer.status_code, problem["error_code"], fields) == (422, code, [field])
    assert await gateway.pool.fetch(WORK, UUID(task["id"])) == []


async def test_it_is_not_moved_before_its_nominal_time(owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="0 0 1 1 *")
    soon = datetime.now(UTC) + timedelta(minutes=1)
    answer = await owner.post(f"/tasks/{task['id']}/snooze", {"until": soon.isoformat()})
    (wrong,) = answer.json()["validation_errors"]
    assert (answer.status_code, wrong["code"], wrong["suggestion"]) == (422, "out_of_range", task["next_run_at"])


async def test_a_snooze_needs_a_body(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/snooze")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_json")
