"""What has begun is told from what only waits, whatever its counters say: a parked first attempt counts none."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.integration.gateway.bench import Bench, Caller
from tests.support.rows import make_due_work
from tests.support.runs import park_run, step_of, work_of
from tests.support.steps import put_message

SOON = timedelta(seconds=20)


async def due(gateway: Bench, task: dict[str, Any], after: timedelta = timedelta(0), **columns: object) -> UUID:
    """An occurrence of the schedule that waits to be executed, with the run that shows it."""
    run_id = await make_due_work(gateway.pool, UUID(task["id"]), datetime.now(UTC) + after, **columns)
    await gateway.pool.execute(
        """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source)
           SELECT id, task_id, agent_id, scheduled_for, 'queued', source FROM due_work WHERE id = $1""",
        run_id,
    )
    return run_id


async def parked(gateway: Bench, task: dict[str, Any], **columns: object) -> UUID:
    run_id = await due(gateway, task, timedelta(0), **columns)
    await park_run(gateway.pool, run_id)
    return run_id


async def run_of(gateway: Bench, run_id: UUID) -> dict[str, Any]:
    return dict(await gateway.row("SELECT * FROM task_run WHERE id = $1", run_id))


async def test_a_run_that_waits_stays_when_its_task_is_paused(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = await parked(gateway, task)
    await owner.post(f"/tasks/{task['id']}/pause")
    assert (await run_of(gateway, run_id))["status"] == "waiting"
    assert await work_of(gateway.pool, run_id) is not None
    assert (await step_of(gateway.pool, run_id))["status"] == "waiting"


async def test_a_run_that_waits_stays_when_the_schedule_changes(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id, waiting = await parked(gateway, task), await due(gateway, task, SOON, fence=2)
    answer = await owner.put(f"/tasks/{task['id']}", {"schedule_expr": "30 * * * *"})
    assert answer.status_code == 200
    assert (await run_of(gateway, run_id))["status"] == "waiting"
    assert await work_of(gateway.pool, run_id) is not None
    assert await work_of(gateway.pool, waiting) is None


async def test_a_snooze_passes_over_a_run_that_waits(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id, waiting = await parked(gateway, task), await due(gateway, task, timedelta(hours=2))
    before = await work_of(gateway.pool, run_id)
    answer = await owner.post(f"/tasks/{task['id']}/snooze", {"delay_seconds": 60})
    after = await work_of(gateway.pool, run_id)
    assert answer.json()["details"]["run_id"] == str(waiting)
    assert before is not None
    assert after is not None
    assert after["run_at"] == before["run_at"]


async def test_what_a_limit_made_stand_back_is_snoozed_as_long_as_was_asked(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    held_until = datetime.now(UTC) + timedelta(seconds=5)
    run_id = await due(gateway, task, held_until=held_until, is_rate_reserved=True, fence=1)
    await owner.post(f"/tasks/{task['id']}/snooze", {"delay_seconds": 600})
    work = await work_of(gateway.pool, run_id)
    assert work is not None
    assert work["waits_seconds"] > 590
    assert not work["is_rate_reserved"]


async def test_a_run_that_waits_cannot_be_skipped(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(schedule_expr="*/10 * * * * *")
    at = datetime.now(UTC).replace(microsecond=0) + SOON
    at -= timedelta(seconds=at.second % 10)
    asked = {"scheduled_for": at.isoformat()}
    run_id = UUID((await owner.post(f"/tasks/{task['id']}/skip", asked)).json()["details"]["run_id"])
    await gateway.pool.execute("DELETE FROM task_run WHERE id = $1", run_id)
    await make_due_work(gateway.pool, UUID(task["id"]), at, id=run_id)
    await park_run(gateway.pool, run_id)
    answer = await owner.post(f"/tasks/{task['id']}/skip", asked)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_started")


async def test_a_run_that_waits_is_shown_as_no_next_run(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await parked(gateway, task)
    await gateway.pool.execute("UPDATE due_work SET run_at = now() WHERE task_id = $1", UUID(task["id"]))
    assert (await owner.show_task(task["id"]))["next_run_at"] == task["next_run_at"]


async def test_canceling_a_task_ends_its_waiting_run_with_all_that_hangs_on_it(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = await parked(gateway, task)
    message_id = await put_message(gateway.pool, owner.agent_id, run_id=run_id, step_id="call", is_awaited=True)
    approval_id = uuid4()
    await gateway.pool.execute(
        "INSERT INTO approval (id, agent_id, task_id, run_id, step_id, prompt, deadline_at) "
        "VALUES ($1, $2, $3, $4, 'ask', 'May I?', now() + interval '1 h')",
        *(approval_id, owner.agent_id, UUID(task["id"]), run_id),
    )
    held = await due(gateway, await owner.create_task(), concurrency_key="one", held_until=datetime.now(UTC) + SOON)
    await gateway.pool.execute("UPDATE due_work SET concurrency_key = 'one' WHERE id = $1", run_id)
    answer = await owner.post(f"/tasks/{task['id']}/cancel")
    run, step = await run_of(gateway, run_id), await step_of(gateway.pool, run_id)
    assert answer.json()["details"]["runs_asked_to_stop"] == 0
    assert (run["status"], run["success"], run["next_attempt_at"]) == ("canceled", None, None)
    assert run["error"] == {"class": "canceled", "message": "The task was canceled.", "retryable": False}
    assert run["finished_at"] is not None
    assert (step["status"], step["error"]["class"]) == ("failed", "canceled")
    assert await gateway.pool.fetchval("SELECT status FROM approval WHERE id = $1", approval_id) == "expired"
    assert await gateway.pool.fetchval("SELECT settled_as FROM inbox_message WHERE id = $1", message_id) == "expired"
    assert await work_of(gateway.pool, run_id) is None
    waiter = await work_of(gateway.pool, held)
    assert waiter is not None
    assert waiter["held_until"] is None


async def test_a_paused_task_that_is_canceled_ends_what_has_begun(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = await parked(gateway, task)
    for action in ("pause", "cancel"):
        await owner.post(f"/tasks/{task['id']}/{action}")
    assert (await run_of(gateway, run_id))["status"] == "canceled"


@pytest.mark.parametrize("has_run", [True, False])
async def test_what_an_executor_holds_without_having_begun_is_asked_to_stop(
    gateway: Bench, owner: Caller, *, has_run: bool
) -> None:
    task = await owner.create_task()
    run_id = await due(gateway, task, fence=1, locked_by="alive", locked_until=datetime.now(UTC) + SOON)
    if not has_run:
        await gateway.pool.execute("DELETE FROM task_run WHERE id = $1", run_id)
    answer = await owner.post(f"/tasks/{task['id']}/cancel")
    assert answer.json()["details"]["runs_asked_to_stop"] == 1
    assert (await run_of(gateway, run_id))["cancel_requested_at"] is not None
