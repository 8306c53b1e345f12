import asyncio

import pytest

from tests.integration.gateway.bench import Bench, Caller, task_body

BODY = task_body(dedupe_key="report", dedupe_window_seconds=3600)


async def _age(gateway: Bench, owner: Caller, seconds: int) -> None:
    query = "UPDATE task SET created_at = created_at - $2 * interval '1 second' WHERE agent_id = $1"
    await gateway.pool.execute(query, owner.agent_id, seconds)


async def test_within_the_window_the_earlier_task_is_answered(gateway: Bench, owner: Caller) -> None:
    first = await owner.post("/tasks", BODY)
    again = await owner.post("/tasks", {**BODY, "title": "Again"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert (again.headers["deduplicated"], again.headers["etag"]) == ("true", '"1"')
    assert again.headers["location"] == first.headers["location"]
    assert "deduplicated" not in first.headers
    entries = "SELECT count(*) FROM audit_log WHERE actor_id = $1"
    assert await gateway.pool.fetchval(entries, owner.agent_id) == 1


@pytest.mark.parametrize("action", ["pause", "cancel"])
async def test_whatever_became_of_that_task(owner: Caller, action: str) -> None:
    first = (await owner.post("/tasks", BODY)).json()
    await owner.post(f"/tasks/{first['id']}/{action}")
    again = await owner.post("/tasks", BODY)
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    assert again.json()["status"] != "active"


async def test_after_the_window_a_living_task_is_in_the_way_and_an_ended_one_is_not(
    gateway: Bench, owner: Caller
) -> None:
    first = (await owner.post("/tasks", BODY)).json()
    await _age(gateway, owner, 3601)
    taken = await owner.post("/tasks", BODY)
    assert (taken.status_code, taken.json()["error_code"]) == (409, "already_exists")
    await owner.post(f"/tasks/{first['id']}/cancel")
    new = await owner.post("/tasks", BODY)
    assert new.status_code == 201
    assert new.json()["id"] != first["id"]


async def test_without_a_window_the_key_of_a_living_task_is_taken(owner: Caller) -> None:
    await owner.post("/tasks", BODY)
    taken = await owner.post("/tasks", {**BODY, "dedupe_window_seconds": 0})
    assert (taken.status_code, taken.json()["error_code"]) == (409, "already_exists")


async def test_the_key_of_another_agent_means_nothing(gateway: Bench, owner: Caller) -> None:
    await owner.post("/tasks", BODY)
    assert (await (await gateway.caller()).post("/tasks", BODY)).status_code == 201


async def test_many_at_once_are_one_task(owner: Caller) -> None:
    answers = await asyncio.gather(*(owner.post("/tasks", BODY) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_window_needs_a_key(owner: Caller) -> None:
    answer = await owner.post("/tasks", task_body(dedupe_window_seconds=60))
    assert (answer.status_code, answer.json()["error_code"]) == (422, "required")
    assert answer.json()["validation_errors"][0]["field"] == "dedupe_key"
    made = await owner.create_task(dedupe_key="k", dedupe_window_seconds=60)
    assert (await owner.put(f"/tasks/{made['id']}", {"dedupe_key": None})).status_code == 422
    both = {"dedupe_key": None, "dedupe_window_seconds": 0}
    assert (await owner.put(f"/tasks/{made['id']}", both)).status_code == 200
