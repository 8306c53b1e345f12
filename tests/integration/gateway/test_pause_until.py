from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.gateway.bench import Bench, Caller


def _in(**delay: float) -> str:
    return (datetime.now(UTC) + timedelta(**delay)).isoformat().replace("+00:00", "Z")


async def _pause(owner: Caller, task: dict[str, Any], **options: object) -> dict[str, Any]:
    answer = await owner.post(f"/tasks/{task['id']}/pause", options)
    assert answer.status_code == 200, answer.text
    return await owner.show_task(task["id"])


async def test_a_pause_has_a_note_and_an_end(owner: Caller) -> None:
    task = await owner.create_task()
    until = _in(days=1)
    shown = await _pause(owner, task, note="holiday", until=until)
    assert (shown["status"], shown["status_note"], shown["paused_until"]) == ("paused", "holiday", until)


async def test_resuming_removes_both(owner: Caller) -> None:
    task = await owner.create_task()
    await _pause(owner, task, note="holiday", until=_in(days=1))
    await owner.post(f"/tasks/{task['id']}/resume")
    shown = await owner.show_task(task["id"])
    assert (shown["status"], shown["status_note"], shown["paused_until"]) == ("active", None, None)


async def test_canceling_removes_the_end(owner: Caller) -> None:
    task = await owner.create_task()
    await _pause(owner, task, until=_in(days=1))
    await owner.post(f"/tasks/{task['id']}/cancel")
    assert (await owner.show_task(task["id"]))["paused_until"] is None


async def test_the_note_and_the_end_of_a_pause_can_be_changed_and_removed(owner: Caller) -> None:
    task = await owner.create_task()
    until = _in(days=1)
    await _pause(owner, task, note="holiday")
    later = await _pause(owner, task, until=until)
    assert (later["status_note"], later["paused_until"], later["version"]) == ("holiday", until, 3)
    bare = await _pause(owner, task, note=None, until=None)
    assert (bare["status_note"], bare["paused_until"], bare["version"]) == (None, None, 4)


async def test_the_same_pause_again_changes_nothing(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    options = {"note": "holiday", "until": _in(days=1)}
    paused = await _pause(owner, task, **options)
    assert await _pause(owner, task, **options) == paused
    entries = await gateway.pool.fetch("SELECT * FROM audit_log WHERE subject_id = $1 ORDER BY seq", task["id"])
    assert [entry["action"] for entry in entries] == ["task.created", "task.paused"]
    assert entries[1]["details"]["changed"]["status_note"] == {"before": None, "after": "holiday"}


@pytest.mark.parametrize(
    ("options", "code", "field"),
    [
        ({"until": "2020-01-01T00:00:00Z"}, "out_of_range", "until"),
        ({"until": "2099-01-01T00:00:00Z"}, "out_of_range", "until"),
        ({"until": "2030-01-01T00:00:00"}, "invalid_datetime", "until"),
        ({"until": "9999-12-31T23:59:59-12:00"}, "invalid_datetime", "until"),
        ({"until": 5}, "invalid_type", "until"),
        ({"note": "x" * 501}, "too_long", "note"),
        ({"note": ""}, "required", "note"),
        ({"note": 5}, "invalid_type", "note"),
        ({"reason": "x"}, "unknown_field", "reason"),
    ],
)
async def test_a_wrong_pause_is_refused_and_changes_nothing(
    owner: Caller, options: dict[str, Any], code: str, field: str
) -> None:
    task = await owner.create_task()
    problem = (await owner.post(f"/tasks/{task['id']}/pause", options)).json()
    assert (problem["error_code"], problem["validation_errors"][0]["field"]) == (code, field)
    assert await owner.show_task(task["id"]) == task
