from uuid import UUID

from tests.integration.gateway.bench import Bench, Caller


async def test_the_next_run_is_what_waits_if_that_comes_before_the_cursor(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute(
        """INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source)
           SELECT gen_random_uuid(), id, agent_id, 1, '2030-01-01T00:00:00Z', '2030-01-01T00:00:03Z', 5, 'schedule'
             FROM task WHERE id = $1""",
        UUID(task["id"]),
    )
    await gateway.pool.execute(
        "UPDATE schedule_cursor SET next_at = '2030-01-02T00:00:00Z' WHERE task_id = $1", UUID(task["id"])
    )
    assert (await owner.show_task(task["id"]))["next_run_at"] == "2030-01-01T00:00:03Z"
