"""An agent goes, and nothing that it had is dropped silently."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from services.scheduler import materialiser
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, payload_with, task_body
from tests.support.rows import make_due_work
from tests.support.waiting import wait_until

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def _delete(admin: Caller, caller: Caller, heir: Caller | None = None) -> httpx.Response:
    query = {} if heir is None else {"hand_over_to": str(heir.agent_id)}
    return await admin.client.delete(f"/agents/{caller.agent_id}", params=query)


async def _message(gateway: Bench, caller: Caller) -> UUID:
    message_id = uuid4()
    await gateway.pool.execute(
        "INSERT INTO inbox_message (id, agent_id, sender_id, body, expires_at) "
        "VALUES ($1, $2, $2, '{}', now() + interval '1 hour')",
        message_id,
        caller.agent_id,
    )
    return message_id


async def test_an_agent_without_tasks_is_deleted_and_its_name_is_free(gateway: Bench, admin: Caller) -> None:
    name = f"agent {uuid4()}"
    made = (await admin.post("/agents", {"name": name})).json()
    client = await gateway.client(Authorization=f"Bearer {made['token']}")
    assert (await client.put("/secrets/key", json={"value": "x"})).status_code == 201
    assert (await admin.client.delete(f"/agents/{made['id']}")).status_code == 204
    assert (await client.get("/agents/me")).status_code == 401
    for answer in (
        await admin.get(f"/agents/{made['id']}"),
        await admin.put(f"/agents/{made['id']}", {"limits": {}}),
        await admin.client.delete(f"/agents/{made['id']}"),
        await admin.get(f"/agents/{made['id']}/tokens"),
        await admin.post(f"/agents/{made['id']}/tokens"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
    assert (await admin.get("/agents", name_filter=name)).json()["items"] == []
    assert (await admin.post("/agents", {"name": name})).status_code == 201
    entry = await gateway.row(
        "SELECT details FROM audit_log WHERE subject_id = $1 AND action = 'agent.deleted'", made["id"]
    )
    assert entry["details"]["secrets"] == ["key"]
    assert (entry["details"]["name"], entry["details"]["tokens"]) == (name, 1)
    assert await gateway.pool.fetchval("SELECT count(*) FROM secret WHERE agent_id = $1", UUID(made["id"])) == 0


async def test_an_agent_with_tasks_is_not_dropped(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller()
    await caller.create_task()
    paused = await caller.create_task()
    await caller.post(f"/tasks/{paused['id']}/pause")
    await _message(gateway, caller)
    answer = await _delete(admin, caller)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "in_use")
    assert "2 active or paused tasks, 0 unfinished runs and 1 unsettled message " in answer.json()["detail"]
    assert "hand_over_to" in answer.json()["detail"]
    assert (await caller.get("/tasks")).json()["total"] == 2


async def test_unfinished_work_of_a_canceled_task_keeps_its_agent(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller()
    task = await caller.create_task()
    await gateway.pool.execute("UPDATE task SET status = 'canceled' WHERE id = $1", UUID(task["id"]))
    run_id = await make_due_work(gateway.pool, UUID(task["id"]), datetime.now(UTC))
    answer = await _delete(admin, caller)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "in_use")
    await gateway.pool.execute("DELETE FROM due_work WHERE id = $1", run_id)
    assert (await _delete(admin, caller)).status_code == 204
    assert (await admin.get(f"/tasks/{task['id']}")).json()["created_by"] == str(caller.agent_id)


async def test_what_is_handed_over_keeps_its_identity(gateway: Bench, admin: Caller) -> None:
    caller, heir = await gateway.caller(), await gateway.caller()
    task = await caller.create_task(dedupe_key="mine")
    canceled = await caller.create_task()
    await caller.post(f"/tasks/{canceled['id']}/cancel")
    run_id = (await caller.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    message_id = await _message(gateway, caller)
    before = await caller.show_task(task["id"])
    assert (await _delete(admin, caller, heir)).status_code == 204
    after = await heir.show_task(task["id"])
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"created_by", "updated_at", "version"}
    assert after["created_by"] == str(heir.agent_id)
    assert (await heir.get(f"/runs/{run_id}")).json()["status"] == "queued"
    assert (await heir.get(f"/tasks/{canceled['id']}")).status_code == 404
    owners = await gateway.row(
        "SELECT w.agent_id AS work, r.agent_id AS run, m.agent_id AS message "
        "FROM due_work w JOIN task_run r ON r.id = w.id JOIN inbox_message m ON m.id = $2 WHERE w.id = $1",
        UUID(run_id),
        message_id,
    )
    assert set(owners.values()) == {heir.agent_id}


async def test_a_handing_over_is_in_the_trail_of_the_agent_and_of_each_task(gateway: Bench, admin: Caller) -> None:
    caller, heir = await gateway.caller(), await gateway.caller()
    task = await caller.create_task()
    await _delete(admin, caller, heir)
    of_task = await gateway.row(
        "SELECT actor_id, details, request_id FROM audit_log WHERE subject_id = $1 AND action = 'task.handed_over'",
        task["id"],
    )
    before_after = {"before": str(caller.agent_id), "after": str(heir.agent_id)}
    assert (of_task["actor_id"], of_task["details"]) == (admin.agent_id, {"changed": {"created_by": before_after}})
    of_agent = await gateway.pool.fetch(
        "SELECT action, details, request_id FROM audit_log WHERE subject_id = $1 ORDER BY seq", str(caller.agent_id)
    )
    assert [row["action"] for row in of_agent] == ["agent.handed_over", "agent.deleted"]
    assert of_agent[0]["details"]["tasks"] == 1
    assert {of_task["request_id"]} == {row["request_id"] for row in of_agent}


@pytest.mark.parametrize("expression", ["${secrets.key}", "${secrets['key']}"])
async def test_a_task_with_a_secret_stays_with_its_agent(gateway: Bench, admin: Caller, expression: str) -> None:
    caller, heir = await gateway.caller(), await gateway.caller()
    await caller.client.put("/secrets/key", json={"value": "x"})
    headers = {"Authorization": expression}
    task = await caller.create_task(payload=payload_with(url="https://example.com/", headers=headers))
    answer = await _delete(admin, caller, heir)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "secrets_in_use")
    assert task["id"] in answer.json()["detail"]


async def test_nobody_takes_over_what_it_could_not_run(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller()
    await caller.create_task(schedule_kind="event", schedule_expr="a.b", dedupe_key="k")
    deaf = await gateway.caller(Scope.TASKS_WRITE)
    disabled = await gateway.caller(status="disabled")
    has_the_key = await gateway.caller()
    await has_the_key.create_task(dedupe_key="k")
    full = await gateway.caller()
    await full.create_task()
    await admin.put(f"/agents/{full.agent_id}", {"limits": {"active_tasks": 1}})
    expected: list[tuple[Caller, int, str]] = [
        (deaf, 409, "cannot_take_over"),
        (has_the_key, 409, "already_exists"),
        (full, 403, "quota_exceeded"),
        (disabled, 400, "invalid_query"),
        (caller, 400, "invalid_query"),
    ]
    for heir, status, code in expected:
        answer = await _delete(admin, caller, heir)
        assert (answer.status_code, answer.json()["error_code"]) == (status, code), answer.text
    assert (await caller.get("/tasks")).json()["total"] == 1


async def test_tasks_are_not_handed_to_an_agent_that_may_do_more_than_who_asks(gateway: Bench, admin: Caller) -> None:
    manager = await gateway.caller(Scope.AGENTS_ADMIN, Scope.TASKS_WRITE)
    weak, heir = await gateway.caller(Scope.TASKS_WRITE), await gateway.admin()
    answer = await _delete(manager, weak, heir)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "scope_escalation")
    assert (await admin.get(f"/agents/{weak.agent_id}")).status_code == 200


async def test_the_scheduler_makes_work_for_whom_the_task_belongs_to_now(gateway: Bench, admin: Caller) -> None:
    """It has planned for the former owner, and writes after the handing over."""
    caller, heir = await gateway.caller(), await gateway.caller()
    task = await caller.create_task()
    await _delete(admin, caller, heir)
    now, work_id = datetime.now(UTC), uuid4()
    columns: list[list[Any]] = [[work_id], [UUID(task["id"])], [caller.agent_id], [1], [now], [now], [5], [None]]
    await gateway.pool.execute(materialiser.SQL["insert_due_work"].sql, *columns)
    assert await gateway.pool.fetchval("SELECT agent_id FROM due_work WHERE id = $1", work_id) == heir.agent_id


async def test_no_task_is_created_behind_the_back_of_a_deletion(gateway: Bench, admin: Caller) -> None:
    deleted = 0
    for _ in range(8):
        caller = await gateway.caller()
        made, *_, gone = await asyncio.gather(
            caller.post("/tasks", task_body()), caller.post("/tasks", task_body()), _delete(admin, caller)
        )
        assert (made.status_code, gone.status_code) in {(201, 409), (401, 204), (401, 409), (201, 204)}
        tasks = await gateway.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", caller.agent_id)
        assert gone.status_code == 409 or tasks == 0
        deleted += gone.status_code == 204
    assert deleted < 8


async def test_a_task_that_comes_after_the_deletion_is_refused(gateway: Bench) -> None:
    """Its request was let in before, and waited."""
    caller = await gateway.caller()
    assert (await caller.get("/tasks")).status_code == 200
    async with gateway.pool.acquire() as other, other.transaction():
        await other.execute("UPDATE agent SET deleted_at = now(), name_key = NULL WHERE id = $1", caller.agent_id)
        creating = asyncio.create_task(caller.post("/tasks", task_body()))
        await wait_until(lambda: gateway.pool.fetchval(WAITING))
    assert (await creating).status_code == 401
    assert await gateway.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", caller.agent_id) == 0
