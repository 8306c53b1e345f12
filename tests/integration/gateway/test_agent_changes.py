"""What may be changed of an agent, by whom, and what always stays."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, task_body


async def _agent(admin: Caller, **fields: object) -> dict[str, Any]:
    answer = await admin.post("/agents", {"name": f"agent {uuid4()}", **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _last_entry(gateway: Bench, subject_id: object) -> tuple[str, dict[str, Any]]:
    row = await gateway.row(
        "SELECT action, details FROM audit_log WHERE subject_id = $1 ORDER BY seq DESC LIMIT 1", str(subject_id)
    )
    return row["action"], row["details"]


async def test_only_the_given_fields_change(gateway: Bench, admin: Caller) -> None:
    made = await _agent(admin, scopes=["runs:read"], limits={"active_tasks": 5}, webhook_url="https://example.com/")
    answer = await admin.put(f"/agents/{made['id']}", {"scopes": ["tasks:read", "runs:read", "runs:read"]})
    changed = answer.json()
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"2"'
    assert changed["scopes"] == ["runs:read", "tasks:read"]
    assert {name: changed[name] for name in ("name", "limits", "webhook_url", "status")} == {
        name: made[name] for name in ("name", "limits", "webhook_url", "status")
    }
    action, details = await _last_entry(gateway, made["id"])
    assert action == "agent.updated"
    assert details == {"changed": {"scopes": {"before": ["runs:read"], "after": ["runs:read", "tasks:read"]}}}


async def test_limits_are_replaced_and_a_webhook_is_removed(gateway: Bench, admin: Caller) -> None:
    made = await _agent(admin, limits={"active_tasks": 5}, webhook_url="https://example.com/secret-path")
    changed = (await admin.put(f"/agents/{made['id']}", {"limits": {"runs_per_day": 9}, "webhook_url": None})).json()
    assert (changed["limits"], changed["webhook_url"]) == ({"runs_per_day": 9}, None)
    _, details = await _last_entry(gateway, made["id"])
    assert details["changed"]["webhook_url"] == "changed"


async def test_a_change_that_changes_nothing_leaves_no_trace(gateway: Bench, admin: Caller) -> None:
    made = await _agent(admin)
    answer = await admin.put(f"/agents/{made['id']}", {"name": f" {made['name']} ", "status": "active"})
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert (await _last_entry(gateway, made["id"]))[0] == "agent.created"


async def test_a_stale_version_is_refused(admin: Caller) -> None:
    made = await _agent(admin)
    path = f"/agents/{made['id']}"
    assert (await admin.put(path, {"limits": {"active_tasks": 3}}, {"If-Match": '"1"'})).status_code == 200
    stale = await admin.put(path, {"limits": {}}, {"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["error_code"]) == (412, "version_conflict")
    gone = await admin.client.delete(path, headers={"If-Match": '"1"'})
    assert gone.status_code == 412


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": " "}, "required"),
        ({"name": None}, "invalid_type"),
        ({"scopes": ["nothing:read"]}, "unknown_scope"),
        ({"status": "deleted"}, "invalid_choice"),
        ({"limits": {"active_tasks": 0}}, "out_of_range"),
        ({"limits": {"requests_per_minute": 10**12}}, "out_of_range"),
        ({"webhook_url": "http://169.254.169.254/"}, "destination_forbidden"),
        ({"version": 3}, "unknown_field"),
    ],
)
async def test_a_wrong_value_changes_nothing(admin: Caller, changes: dict[str, Any], code: str) -> None:
    made = await _agent(admin)
    answer = await admin.put(f"/agents/{made['id']}", {"limits": {"active_tasks": 7}} | changes)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert (await admin.get(f"/agents/{made['id']}")).json()["version"] == 1


async def test_a_name_that_another_has_is_refused(admin: Caller) -> None:
    first, second = await _agent(admin), await _agent(admin)
    answer = await admin.put(f"/agents/{second['id']}", {"name": first["name"].upper()})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_exists")


async def test_a_manager_changes_nobody_who_holds_more(gateway: Bench, admin: Caller) -> None:
    manager = await gateway.caller(Scope.AGENTS_ADMIN, Scope.TASKS_READ)
    mightier = await _agent(admin, scopes=["tasks:read", "runs:read"])
    equal = await _agent(admin, scopes=["tasks:read"])
    for answer in (
        await manager.put(f"/agents/{mightier['id']}", {"status": "disabled"}),
        await manager.put(f"/agents/{equal['id']}", {"scopes": ["tasks:read", "tasks:write"]}),
        await manager.client.delete(f"/agents/{mightier['id']}"),
        await manager.post(f"/agents/{mightier['id']}/tokens"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (403, "scope_escalation")
    assert (await manager.put(f"/agents/{equal['id']}", {"scopes": []})).status_code == 200


async def test_an_agent_cannot_change_agents_without_the_scope(owner: Caller) -> None:
    for answer in (
        await owner.put(f"/agents/{owner.agent_id}", {"limits": {}}),
        await owner.client.delete(f"/agents/{owner.agent_id}"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


async def test_nobody_disables_or_deletes_itself(gateway: Bench) -> None:
    manager = await gateway.caller(Scope.AGENTS_ADMIN)
    for answer in (
        await manager.put(f"/agents/{manager.agent_id}", {"status": "disabled"}),
        await manager.client.delete(f"/agents/{manager.agent_id}"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (409, "self_change")


async def test_the_system_agent_stays_what_it_is(own_gateway: Bench) -> None:
    system = await own_gateway.caller(Scope.ADMIN, name="system")
    admin = await own_gateway.admin()
    path = f"/agents/{system.agent_id}"
    refused = [await admin.client.delete(path)]
    changes: list[dict[str, Any]] = [{"status": "disabled"}, {"scopes": ["tasks:read"]}, {"name": "sys"}]
    refused += [await admin.put(path, change) for change in changes]
    refused.append(await system.put(path, {"status": "disabled"}))
    assert [(answer.status_code, answer.json()["error_code"]) for answer in refused] == [(409, "system_agent")] * 5
    assert (await admin.put(path, {"limits": {"active_tasks": 10_000}})).status_code == 200


async def test_the_last_admin_stays(own_gateway: Bench) -> None:
    admin = await own_gateway.admin()
    await own_gateway.caller(Scope.ADMIN, status="disabled")
    answer = await admin.put(f"/agents/{admin.agent_id}", {"scopes": ["agents:admin"]})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "last_admin")


async def test_two_admins_cannot_disable_each_other_at_once(own_gateway: Bench) -> None:
    for _ in range(5):
        one, other = await own_gateway.admin(), await own_gateway.admin()
        answers = await asyncio.gather(
            one.put(f"/agents/{other.agent_id}", {"status": "disabled"}),
            other.put(f"/agents/{one.agent_id}", {"status": "disabled"}),
        )
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, 409], [answer.text for answer in answers]
        await own_gateway.pool.execute("UPDATE agent SET status = 'disabled'")


async def test_a_disabled_agent_is_refused_and_works_again_once_enabled(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller()
    assert (await caller.get("/tasks")).status_code == 200
    answer = await admin.put(f"/agents/{caller.agent_id}", {"status": "disabled"})
    assert answer.json()["status"] == "disabled"
    assert (await caller.get("/tasks")).status_code == 401
    assert (await _last_entry(gateway, caller.agent_id))[0] == "agent.disabled"
    await admin.put(f"/agents/{caller.agent_id}", {"status": "active"})
    assert (await caller.get("/tasks")).status_code == 200
    assert (await _last_entry(gateway, caller.agent_id))[0] == "agent.enabled"


async def test_a_change_of_scopes_holds_for_the_next_request(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller(Scope.TASKS_READ)
    assert (await caller.get("/tasks")).status_code == 200
    await admin.put(f"/agents/{caller.agent_id}", {"scopes": ["runs:read"]})
    assert (await caller.get("/tasks")).status_code == 403
    await admin.put(f"/agents/{caller.agent_id}", {"scopes": ["tasks:read", "tasks:write"], "limits": {}})
    assert (await caller.post("/tasks", task_body())).status_code == 201


async def test_runs_of_today_count_as_soon_as_there_is_a_limit(gateway: Bench, admin: Caller) -> None:
    caller = await gateway.caller()
    task = await caller.create_task()
    run_id = (await caller.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    await gateway.pool.execute("UPDATE task_run SET started_at = now() WHERE id = $1", UUID(run_id))
    await admin.put(f"/agents/{caller.agent_id}", {"limits": {"runs_per_day": 1}})
    for path in (f"/tasks/{task['id']}/run_now", f"/runs/{run_id}/replay"):
        await gateway.pool.execute(
            "UPDATE task_run SET finished_at = now(), status = 'failed' WHERE id = $1", UUID(run_id)
        )
        answer = await caller.post(path)
        assert (answer.status_code, answer.json()["error_code"]) == (403, "quota_exceeded")
    me = (await caller.get("/agents/me")).json()
    assert (me["limits_in_effect"]["runs_per_day"], me["usage"]) == (1, {"active_tasks": 1, "runs_today": 1})
    await admin.put(f"/agents/{caller.agent_id}", {"limits": {}})
    assert (await caller.post(f"/tasks/{task['id']}/run_now")).status_code == 200
