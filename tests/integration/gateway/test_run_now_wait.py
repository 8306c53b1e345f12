import asyncio
from uuid import UUID

import pytest

from services.gateway.tasks import outcome
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, open_client
from tests.support.waiting import wait_until


async def _finish(gateway: Bench, task_id: str) -> None:
    """As an executor would, once there is something to run."""
    query = "SELECT id FROM task_run WHERE task_id = $1"
    await wait_until(lambda: gateway.pool.fetchval(query, UUID(task_id)))
    await gateway.pool.execute("DELETE FROM due_work WHERE task_id = $1", UUID(task_id))
    await gateway.pool.execute(
        """UPDATE task_run SET status = 'succeeded', success = true, started_at = now(), finished_at = now(),
                  output = '{"n": 1}' WHERE task_id = $1""",
        UUID(task_id),
    )


async def test_without_a_wait_the_answer_names_the_run(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/run_now")
    assert (answer.status_code, answer.json()["run"]) == (200, None)
    assert (await owner.get(f"/runs/{answer.json()['details']['run_id']}")).status_code == 200


async def test_whoever_waits_is_answered_the_finished_run(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    waiting = asyncio.create_task(owner.post(f"/tasks/{task['id']}/run_now?wait=30"))
    await _finish(gateway, task["id"])
    answer = await waiting
    assert answer.status_code == 200
    run = answer.json()["run"]
    assert (run["id"], run["status"], run["output"]) == (answer.json()["details"]["run_id"], "succeeded", {"n": 1})
    assert run == (await owner.get(f"/runs/{run['id']}")).json()


async def test_when_the_time_is_over_the_run_is_shown_as_it_stands(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/run_now?wait=1")
    assert (answer.status_code, answer.json()["run"]["status"]) == (202, "queued")
    assert answer.json()["run"]["id"] == answer.json()["details"]["run_id"]


async def test_no_database_connection_is_held_meanwhile(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    ids = [(await owner.create_task())["id"] for _ in range(19)] + [task["id"]]
    waiting = [asyncio.create_task(owner.post(f"/tasks/{each}/run_now?wait=30")) for each in ids]
    runs = "SELECT count(*) FROM task_run WHERE agent_id = $1"
    await wait_until(lambda: _equals(gateway, runs, owner, 20))
    # More of them than a gateway has connections.
    assert (await owner.get("/tasks", limit=1)).status_code == 200
    await asyncio.gather(*(_finish(gateway, each) for each in ids))
    assert {(await answer).status_code for answer in waiting} == {200}


async def test_with_a_key_it_runs_once_and_the_plain_answer_is_kept(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    headers = {"Idempotency-Key": "wait"}
    first = await owner.post(f"/tasks/{task['id']}/run_now?wait=1", headers=headers)
    plain = await owner.post(f"/tasks/{task['id']}/run_now", headers=headers)
    assert (first.status_code, plain.status_code, plain.json()["run"]) == (202, 200, None)
    await _finish(gateway, task["id"])
    again = await owner.post(f"/tasks/{task['id']}/run_now?wait=10", headers=headers)
    assert (again.status_code, again.json()["run"]["status"]) == (200, "succeeded")
    assert again.headers["idempotency-replayed"] == "true"
    assert {each.json()["details"]["run_id"] for each in (first, plain, again)} == {again.json()["run"]["id"]}


async def test_a_client_that_goes_away_ends_its_wait(own_gateway: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "WAITING_PER_AGENT", 1)
    owner = await own_gateway.caller()
    task = await owner.create_task()
    path = f"/tasks/{task['id']}/run_now?wait=60"
    async with open_client(f"{own_gateway.url}/v1", {"Authorization": f"Bearer {owner.token.text}"}) as leaving:
        waiting = asyncio.create_task(leaving.post(path))
        await wait_until(lambda: own_gateway.pool.fetchval("SELECT count(*) = 1 FROM task_run"))
        full = await owner.post(path)
        assert (full.status_code, full.json()["error_code"]) == (429, "too_many_waiters")
        waiting.cancel()
    await wait_until(lambda: _is_let_in(owner, f"/tasks/{task['id']}/run_now?wait=1"))
    assert await own_gateway.pool.fetchval("SELECT count(*) FROM task_run") == 2


async def test_whoever_waits_needs_to_be_allowed_to_read_runs(gateway: Bench) -> None:
    writer = await gateway.caller(Scope.TASKS_WRITE)
    task = await writer.create_task()
    refused = await writer.post(f"/tasks/{task['id']}/run_now?wait=1")
    assert (refused.status_code, refused.json()["error_code"]) == (403, "insufficient_scope")
    assert (await writer.post(f"/tasks/{task['id']}/run_now")).status_code == 200


@pytest.mark.parametrize("wait", ["-1", "61", "x", "1.5", ""])
async def test_a_wait_has_its_bounds(owner: Caller, wait: str) -> None:
    task = await owner.create_task()
    answer = await owner.post(f"/tasks/{task['id']}/run_now?wait={wait}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")
    assert answer.json()["validation_errors"][0]["field"] == "wait", answer.text


async def test_a_task_that_cannot_run_is_refused_at_once(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    answer = await owner.post(f"/tasks/{task['id']}/run_now?wait=60")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "task_not_active")


async def _equals(gateway: Bench, query: str, owner: Caller, wanted: int) -> bool:
    return bool(await gateway.pool.fetchval(query, owner.agent_id) == wanted)


async def _is_let_in(owner: Caller, path: str) -> bool:
    return (await owner.post(path)).status_code == 202
