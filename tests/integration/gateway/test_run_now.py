from uuid import UUID

from redis.asyncio import Redis

from shared.streams.doorbell import Bell
from tests.integration.gateway.bench import Bench, Caller
from tests.support.waiting import wait_until


async def test_the_answer_names_a_run_that_can_be_shown_at_once(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/run_now")
    details = answer.json()["details"]
    run = (await owner.get(f"/runs/{details['run_id']}")).json()
    assert answer.status_code == 200
    assert (run["status"], run["source"], run["task_id"], run["success"]) == ("queued", "manual", task["id"], None)
    assert run["scheduled_for"] == details["scheduled_for"]


async def test_the_work_is_due_at_once_with_the_priority_of_the_task(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(priority=2, concurrency_key="one")
    run_id = (await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    work = await gateway.row("SELECT *, available_at <= now() AS is_due FROM due_work WHERE id = $1", UUID(run_id))
    assert (work["is_due"], work["priority"], work["concurrency_key"], work["source"]) == (True, 2, "one", "manual")


async def test_each_call_is_a_run_of_its_own(owner: Caller) -> None:
    task = await owner.create_task()
    ids = {(await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"] for _ in range(5)}
    assert len(ids) == 5


async def test_the_executors_bell_rings_at_once(owner: Caller, redis: Redis) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/run_now")
    await wait_until(lambda: redis.xlen(Bell.DUE_WORK))


async def test_the_trace_of_the_request_goes_with_the_work(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    answer = await owner.post(f"/tasks/{task['id']}/run_now", headers=headers)
    run_id = answer.json()["details"]["run_id"]
    kept = await gateway.pool.fetchval("SELECT traceparent FROM due_work WHERE id = $1", UUID(run_id))
    assert kept.split("-")[1] == trace
    assert (await owner.get(f"/runs/{run_id}")).json()["trace_id"] == trace


async def test_a_paused_task_does_not_run(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    answer = await owner.post(f"/tasks/{task['id']}/run_now")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "task_not_active")
    assert (await owner.get("/runs", task_id=task["id"])).json()["total"] == 0


async def test_the_schedule_goes_on_beside_it(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/run_now")
    assert (await owner.show_task(task["id"]))["next_run_at"] == task["next_run_at"]
