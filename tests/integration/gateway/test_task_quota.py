import asyncio

import pytest

from tests.integration.gateway.bench import Bench, Caller, task_body


@pytest.fixture
async def limited(gateway: Bench) -> Caller:
    """May have two active tasks."""
    caller = await gateway.caller()
    query = """UPDATE agent SET limits = '{"active_tasks": 2}' WHERE id = $1"""
    await gateway.pool.execute(query, caller.agent_id)
    return caller


async def test_an_agent_has_as_many_active_tasks_as_it_may(limited: Caller) -> None:
    first = await limited.create_task()
    await limited.create_task()
    refused = await limited.post("/tasks", task_body())
    assert (refused.status_code, refused.json()["error_code"]) == (403, "quota_exceeded")
    assert "2 active tasks of the 2" in refused.json()["detail"]
    await limited.post(f"/tasks/{first['id']}/pause")
    await limited.create_task()


async def test_whoever_asks_at_once_gets_no_more(limited: Caller) -> None:
    answers = await asyncio.gather(*(limited.post("/tasks", task_body()) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [403] * 6


async def test_a_declaration_a_batch_and_a_resume_count_as_well(limited: Caller) -> None:
    paused = await limited.create_task()
    await limited.post(f"/tasks/{paused['id']}/pause")
    batch = await limited.post("/tasks/batch", {"tasks": [task_body()] * 3})
    assert (batch.status_code, batch.json()["error_code"]) == (403, "quota_exceeded")
    await limited.create_task()
    assert (await limited.put("/tasks/by-key/k", task_body())).status_code == 201
    assert (await limited.put("/tasks/by-key/k", task_body(title="x"))).status_code == 200
    for refused in (
        await limited.put("/tasks/by-key/l", task_body()),
        await limited.post(f"/tasks/{paused['id']}/resume"),
    ):
        assert (refused.status_code, refused.json()["error_code"]) == (403, "quota_exceeded")
    assert (await limited.show_task(paused["id"]))["status"] == "paused"


async def test_resumes_at_once_do_not_go_beyond_it(limited: Caller) -> None:
    tasks = []
    for _ in range(4):
        tasks.append((await limited.create_task())["id"])
        await limited.post(f"/tasks/{tasks[-1]}/pause")
    answers = await asyncio.gather(*(limited.post(f"/tasks/{task}/resume") for task in tasks))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 403, 403]


async def test_an_admin_is_not_limited(gateway: Bench, admin: Caller, limited: Caller) -> None:
    await gateway.pool.execute("""UPDATE agent SET limits = '{"active_tasks": 1}' WHERE id = $1""", admin.agent_id)
    await admin.create_task()
    await admin.create_task()
    for _ in range(3):
        await admin.create_task(created_by=str(limited.agent_id))
