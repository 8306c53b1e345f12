from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller
from tests.support.rows import make_due_work


async def _cursors(gateway: Bench, task_id: str) -> int:
    count: int = await gateway.pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", UUID(task_id))
    return count


async def test_a_paused_task_has_nothing_ahead(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/pause")
    assert (answer.status_code, answer.json()["success"]) == (200, True)
    assert answer.json()["details"]["status"] == "paused"
    shown = await owner.show_task(task["id"])
    assert (shown["status"], shown["next_run_at"], shown["version"]) == ("paused", None, 2)
    assert await _cursors(gateway, task["id"]) == 0


async def test_pausing_twice_changes_nothing_the_second_time(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    paused = await owner.show_task(task["id"])
    assert (await owner.post(f"/tasks/{task['id']}/pause")).status_code == 200
    assert await owner.show_task(task["id"]) == paused


async def test_pausing_takes_back_what_nobody_has_begun_and_records_what_was_promised(
    gateway: Bench, owner: Caller
) -> None:
    task = await owner.create_task()
    task_id, now = UUID(task["id"]), datetime.now(UTC)
    due = await make_due_work(gateway.pool, task_id, now - timedelta(seconds=1))
    await make_due_work(gateway.pool, task_id, now + timedelta(seconds=20))
    jittered = await make_due_work(
        gateway.pool, task_id, now + timedelta(seconds=20), scheduled_for=now - timedelta(seconds=2)
    )
    held = await make_due_work(gateway.pool, task_id, now, fence=3, held_until=now + timedelta(seconds=30))
    retried = await make_due_work(gateway.pool, task_id, now + timedelta(seconds=5), attempt=1, started_at=now)
    lost = await make_due_work(
        gateway.pool, task_id, now, locked_by="dead", locked_until=now - timedelta(seconds=1), started_at=now
    )
    leased = await make_due_work(
        gateway.pool, task_id, now, locked_by="alive", locked_until=now + timedelta(seconds=30), attempt=1
    )
    manual = UUID((await owner.post(f"/tasks/{task_id}/run_now")).json()["details"]["run_id"])
    await owner.post(f"/tasks/{task_id}/pause")
    left = await gateway.pool.fetch("SELECT id FROM due_work WHERE task_id = $1", task_id)
    runs = await gateway.pool.fetch("SELECT * FROM task_run WHERE task_id = $1", task_id)
    assert {row["id"] for row in left} == {retried, lost, leased}
    assert {run["id"] for run in runs} == {due, jittered, held, manual}
    assert {(run["status"], run["success"], run["skip_reason"]) for run in runs} == {("canceled", None, "task_paused")}
    assert all(run["finished_at"] is not None for run in runs)


async def test_a_resumed_task_goes_on_with_the_next_time_and_does_not_make_up(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="*/10 * * * * *")
    await owner.post(f"/tasks/{task['id']}/pause")
    answer = await owner.post(f"/tasks/{task['id']}/resume")
    row = await gateway.row("SELECT c.*, now() AS now FROM schedule_cursor c WHERE task_id = $1", UUID(task["id"]))
    assert answer.status_code == 200
    assert row["next_at"] > row["now"] - timedelta(seconds=1)
    assert row["next_at"] - row["now"] <= timedelta(seconds=10)
    assert row["schedule_rev"] == 3
    assert (await owner.show_task(task["id"]))["status"] == "active"


async def test_a_resumed_task_remembers_how_often_it_has_run(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(max_runs=3)
    await gateway.pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, skip_reason)
           SELECT gen_random_uuid(), id, agent_id, now(), 'succeeded', source, skip_reason
             FROM task, (VALUES ('schedule', NULL), ('schedule', NULL), ('manual', NULL), ('schedule', 'task_paused'))
                        AS made (source, skip_reason)
            WHERE id = $1""",
        UUID(task["id"]),
    )
    await owner.post(f"/tasks/{task['id']}/pause")
    await owner.post(f"/tasks/{task['id']}/resume")
    planned = "SELECT runs_planned FROM schedule_cursor WHERE task_id = $1"
    assert await gateway.pool.fetchval(planned, UUID(task["id"])) == 2


async def test_a_task_with_nothing_ahead_cannot_be_resumed(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(ends_at="2040-01-01T00:00:00Z")
    await owner.post(f"/tasks/{task['id']}/pause")
    await gateway.pool.execute("UPDATE task SET ends_at = now() WHERE id = $1", UUID(task["id"]))
    answer = await owner.post(f"/tasks/{task['id']}/resume")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "schedule_never_fires")


async def test_only_a_paused_task_can_be_resumed(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/resume")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "task_not_paused")


@pytest.mark.parametrize("before", [[], ["pause"]])
async def test_a_task_can_be_canceled_for_good(gateway: Bench, owner: Caller, before: list[str]) -> None:
    task = await owner.create_task()
    for action in [*before, "cancel"]:
        assert (await owner.post(f"/tasks/{task['id']}/{action}")).status_code == 200
    shown = await owner.show_task(task["id"])
    assert (shown["status"], shown["next_run_at"]) == ("canceled", None)
    assert await _cursors(gateway, task["id"]) == 0
    for action in ("pause", "resume", "run_now"):
        assert (await owner.post(f"/tasks/{task['id']}/{action}")).status_code == 409


async def test_canceling_twice_changes_nothing_the_second_time(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/cancel")
    canceled = await owner.show_task(task["id"])
    assert (await owner.post(f"/tasks/{task['id']}/cancel")).status_code == 200
    assert await owner.show_task(task["id"]) == canceled


async def test_canceling_asks_running_runs_to_stop(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    now = datetime.now(UTC)
    leased = await make_due_work(
        gateway.pool, UUID(task["id"]), now, locked_by="alive", locked_until=now + timedelta(seconds=30), attempt=1
    )
    await gateway.pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source)
           SELECT id, task_id, agent_id, scheduled_for, 'running', source FROM due_work WHERE id = $1""",
        leased,
    )
    answer = await owner.post(f"/tasks/{task['id']}/cancel")
    run = await gateway.row("SELECT * FROM task_run WHERE id = $1", leased)
    assert answer.json()["details"]["runs_asked_to_stop"] == 1
    assert (run["status"], run["cancel_requested_at"] is not None) == ("running", True)


async def test_what_waited_for_a_canceled_task_is_recorded_as_canceled(owner: Caller) -> None:
    task = await owner.create_task()
    run_id = (await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    await owner.post(f"/tasks/{task['id']}/cancel")
    run = (await owner.get(f"/runs/{run_id}")).json()
    assert (run["status"], run["skip_reason"], run["success"]) == ("canceled", "task_canceled", None)


async def test_a_completed_task_can_neither_be_paused_nor_canceled(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute("UPDATE task SET status = 'completed' WHERE id = $1", UUID(task["id"]))
    for action in ("pause", "cancel", "run_now", "resume"):
        assert (await owner.post(f"/tasks/{task['id']}/{action}")).status_code == 409


@pytest.mark.parametrize("action", ["pause", "resume", "cancel", "run_now"])
async def test_an_action_takes_no_options(owner: Caller, action: str) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/{action}", {"force": True})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "unknown_field")
