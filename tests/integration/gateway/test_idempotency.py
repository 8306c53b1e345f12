import asyncio
import json
from uuid import uuid4

import pytest

from tests.integration.gateway.bench import Bench, Caller, task_body
from tests.support.waiting import wait_until


async def test_the_same_request_with_the_same_key_is_answered_the_same_and_done_once(owner: Caller) -> None:
    headers = {"Idempotency-Key": "create once"}
    first = await owner.post("/tasks", task_body(), headers=headers)
    second = await owner.post("/tasks", task_body(), headers=headers)
    assert (second.status_code, second.content) == (201, first.content)
    assert (second.headers["location"], second.headers["etag"]) == (first.headers["location"], first.headers["etag"])
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    assert (await owner.get("/tasks")).json()["total"] == 1


async def test_a_repeated_run_now_is_one_run(owner: Caller) -> None:
    task = await owner.create_task()
    headers = {"Idempotency-Key": "run once"}
    answers = [await owner.post(f"/tasks/{task['id']}/run_now", headers=headers) for _ in range(3)]
    assert len({answer.json()["details"]["run_id"] for answer in answers}) == 1
    assert (await owner.get("/runs", task_id=task["id"])).json()["total"] == 1


async def test_the_key_counts_with_and_without_the_prefix(gateway: Bench, owner: Caller) -> None:
    headers = {"Idempotency-Key": "prefix"}
    first = await owner.post("/tasks", task_body(), headers=headers)
    second = await owner.client.post(f"{gateway.url}/tasks", json=task_body(), headers=headers)
    assert second.json() == first.json()


async def test_another_body_under_the_same_key_is_refused(owner: Caller) -> None:
    headers = {"Idempotency-Key": "other body"}
    await owner.post("/tasks", task_body(), headers=headers)
    answer = await owner.post("/tasks", task_body(title="Another"), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (422, "idempotency_mismatch")


async def test_the_key_of_one_agent_means_nothing_to_another(gateway: Bench, owner: Caller) -> None:
    headers = {"Idempotency-Key": "mine"}
    first = await owner.post("/tasks", task_body(), headers=headers)
    second = await (await gateway.caller()).post("/tasks", task_body(), headers=headers)
    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


async def test_a_refused_request_leaves_its_key_free(owner: Caller) -> None:
    headers = {"Idempotency-Key": "mended"}
    assert (await owner.post("/tasks", task_body(priority=0), headers=headers)).status_code == 422
    assert (await owner.post("/tasks", task_body(schedule_expr="bad"), headers=headers)).status_code == 422
    assert (await owner.post("/tasks", task_body(), headers=headers)).status_code == 201


async def test_a_key_is_forgotten_when_it_expires(gateway: Bench, owner: Caller) -> None:
    headers = {"Idempotency-Key": "expired"}
    first = await owner.post("/tasks", task_body(), headers=headers)
    await gateway.pool.execute("UPDATE idempotency_key SET expires_at = now() WHERE agent_id = $1", owner.agent_id)
    second = await owner.post("/tasks", task_body(), headers=headers)
    assert second.json()["id"] != first.json()["id"]


async def test_a_request_that_is_still_under_way_is_said_to_be(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    headers = {"Idempotency-Key": "slow"}
    async with gateway.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM task WHERE id = $1::text::uuid FOR UPDATE", task["id"])
        slow = asyncio.create_task(owner.post(f"/tasks/{task['id']}/run_now", headers=headers))
        await _until_somebody_waits(gateway)
        answer = await owner.post(f"/tasks/{task['id']}/run_now", headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "idempotency_in_progress")
    assert answer.headers["retry-after"] == "1"
    assert (await slow).status_code == 200


async def test_the_same_key_from_many_at_once_is_one_task(owner: Caller) -> None:
    headers = {"Idempotency-Key": "stampede"}
    answers = await asyncio.gather(*(owner.post("/tasks", task_body(), headers=headers) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert (await owner.get("/tasks")).json()["total"] == 1


@pytest.mark.parametrize("key", [b"", b"x" * 129, "ключ".encode(), b"tab\tbed"])
async def test_a_key_that_cannot_be_kept_is_refused(owner: Caller, key: bytes) -> None:
    body = json.dumps(task_body()).encode()
    headers = [
        (b"Content-Type", b"application/json"),
        (b"Idempotency-Key", key if isinstance(key, bytes) else key.encode()),
    ]
    answer = await owner.client.post("/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_idempotency_key")


async def test_a_repeated_answer_does_not_show_a_token_again(gateway: Bench, admin: Caller) -> None:
    headers, body = {"Idempotency-Key": "agent"}, {"name": f"agent {uuid4()}"}
    first = (await admin.post("/agents", body, headers=headers)).json()
    second = (await admin.post("/agents", body, headers=headers)).json()
    kept = await gateway.pool.fetchval("SELECT body FROM idempotency_key WHERE agent_id = $1", admin.agent_id)
    assert second == {**first, "token": None}
    assert first["token"].encode() not in kept


async def _until_somebody_waits(gateway: Bench) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    await wait_until(lambda: gateway.pool.fetchval(waiting))
