"""Many who change one task at once leave it as if they had come one after the other."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg

from shared.vocabulary.ids import occurrence_id
from tests.integration.gateway.bench import Bench, Caller, task_body

MUTATORS = 50
ROUNDS = 3
ACTS = ("pause", "resume", "run_now", "title", "schedule", "materialise", "claim")

# The heart of what a scheduler does, in one transaction: lock the cursor, make work, move on.
LOCK = "SELECT * FROM schedule_cursor WHERE task_id = $1 FOR UPDATE SKIP LOCKED"
MAKE = """INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source)
          SELECT $1, t.id, t.agent_id, $3, $4, $4, 5, 'schedule' FROM task t WHERE t.id = $2 ON CONFLICT DO NOTHING"""
MOVE = "UPDATE schedule_cursor SET next_at = next_at + interval '1 hour' WHERE task_id = $1"
CLAIM = """WITH leased AS (
               UPDATE due_work SET locked_by = 'e', locked_until = now() + interval '30 s', attempt = attempt + 1
                WHERE id = (SELECT id FROM due_work WHERE task_id = $1 AND locked_until IS NULL
                             LIMIT 1 FOR UPDATE SKIP LOCKED)
               RETURNING *)
           INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source)
           SELECT id, task_id, agent_id, scheduled_for, 'running', source FROM leased
           ON CONFLICT (id) DO UPDATE SET status = 'running'"""


async def _act(act: str, gateway: Bench, caller: Caller, task_id: UUID) -> int:
    """One step of one of the many; the status that the gateway answered."""
    match act:
        case "title":
            return (await caller.put(f"/tasks/{task_id}", {"title": uuid4().hex})).status_code
        case "schedule":
            expression = f"{uuid4().int % 60} * * * *"
            return (await caller.put(f"/tasks/{task_id}", {"schedule_expr": expression})).status_code
        case "materialise":
            await _materialise(gateway.pool, task_id)
        case "claim":
            await gateway.pool.execute(CLAIM, task_id)
        case _:
            return (await caller.post(f"/tasks/{task_id}/{act}")).status_code
    return 200


async def _materialise(pool: asyncpg.Pool, task_id: UUID) -> None:
    async with pool.acquire() as connection, connection.transaction():
        cursor = await connection.fetchrow(LOCK, task_id)
        if cursor is not None:
            work_id = occurrence_id(task_id, cursor["schedule_rev"], cursor["next_at"], "at")
            await connection.execute(MAKE, work_id, task_id, cursor["schedule_rev"], cursor["next_at"])
            await connection.execute(MOVE, task_id)


async def test_fifty_mutators_with_a_scheduler_and_an_executor_leave_a_consistent_task(
    gateway: Bench, owner: Caller
) -> None:
    task_id = UUID((await owner.create_task())["id"])
    statuses: list[int] = []
    for _ in range(ROUNDS):
        acts = [ACTS[number % len(ACTS)] for number in range(MUTATORS)]
        random.shuffle(acts)
        statuses += await asyncio.gather(*(_act(act, gateway, owner, task_id) for act in acts))
    await owner.post(f"/tasks/{task_id}/pause")
    assert set(statuses) <= {200, 409}
    await _check_consistency(gateway, owner, task_id)


async def _check_consistency(gateway: Bench, owner: Caller, task_id: UUID) -> None:
    row = await gateway.row("SELECT * FROM task WHERE id = $1", task_id)
    pending = await gateway.pool.fetch("SELECT * FROM due_work WHERE task_id = $1 AND locked_until IS NULL", task_id)
    ghosts = await gateway.pool.fetch(
        """SELECT FROM task_run r WHERE r.task_id = $1 AND r.finished_at IS NULL
            AND NOT EXISTS (SELECT FROM due_work w WHERE w.id = r.id)""",
        task_id,
    )
    changes = await gateway.pool.fetch(
        "SELECT action, count(*) FROM audit_log WHERE subject_id = $1 GROUP BY action", str(task_id)
    )
    counted = {record["action"]: record["count"] for record in changes}
    assert (row["status"], len(pending), len(ghosts)) == ("paused", 0, 0)
    assert await gateway.pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", task_id) == 0
    assert row["version"] == sum(count for action, count in counted.items() if action != "task.run_now")
    manual = await gateway.pool.fetchval(
        "SELECT count(*) FROM task_run WHERE task_id = $1 AND source = 'manual'", task_id
    )
    assert manual == counted.get("task.run_now", 0)
    assert (await owner.post(f"/tasks/{task_id}/resume")).status_code == 200
    cursor = await gateway.row("SELECT * FROM schedule_cursor WHERE task_id = $1", task_id)
    assert cursor["schedule_rev"] == row["schedule_rev"] + 1
    assert cursor["next_at"] > datetime.now(UTC) - timedelta(seconds=5)


async def test_of_many_changes_of_one_version_one_is_made(owner: Caller) -> None:
    task = await owner.create_task()
    answers = await asyncio.gather(
        *(
            owner.put(f"/tasks/{task['id']}", {"title": f"number {number}"}, headers={"If-Match": '"1"'})
            for number in range(20)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    assert (await owner.show_task(task["id"]))["version"] == 2


async def test_of_many_tasks_with_one_dedupe_key_one_is_created(owner: Caller) -> None:
    answers = await asyncio.gather(*(owner.post("/tasks", task_body(dedupe_key="one")) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
