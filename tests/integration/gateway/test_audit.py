import json
from typing import Any
from uuid import uuid4

from tests.integration.gateway.bench import Bench, Caller, payload_with


async def _entries(gateway: Bench, subject_id: str) -> list[dict[str, Any]]:
    rows = await gateway.pool.fetch("SELECT * FROM audit_log WHERE subject_id = $1 ORDER BY seq", subject_id)
    return [dict(row) for row in rows]


async def test_every_accepted_change_leaves_one_entry(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.put(f"/tasks/{task['id']}", {"title": "New"})
    for action in ("run_now", "pause", "pause", "resume", "cancel", "cancel"):
        await owner.post(f"/tasks/{task['id']}/{action}")
    entries = await _entries(gateway, task["id"])
    assert [entry["action"] for entry in entries] == [
        "task.created",
        "task.updated",
        "task.run_now",
        "task.paused",
        "task.resumed",
        "task.canceled",
    ]
    assert {(entry["actor_id"], entry["subject_type"]) for entry in entries} == {(owner.agent_id, "task")}


async def test_an_entry_tells_which_request_of_which_trace_it_was(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = {"X-Request-ID": "request-7", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    await owner.post(f"/tasks/{task['id']}/pause", headers=headers)
    entry = (await _entries(gateway, task["id"]))[-1]
    assert (entry["request_id"], entry["trace_id"]) == ("request-7", trace)


async def test_an_update_tells_each_changed_field_before_and_after(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task(priority=5)
    changes = {"priority": 1, "title": task["title"], "starts_at": "2031-01-01T00:00:00Z"}
    await owner.put(f"/tasks/{task['id']}", changes)
    entry = (await _entries(gateway, task["id"]))[-1]
    assert entry["details"] == {
        "changed": {
            "priority": {"before": 5, "after": 1},
            "starts_at": {"before": None, "after": "2031-01-01T00:00:00Z"},
        }
    }


async def test_a_payload_does_not_enter_the_trail(gateway: Bench, owner: Caller) -> None:
    secret = uuid4().hex
    task = await owner.create_task(payload=payload_with(url="https://example.com/", headers={"X-Key": secret}))
    other = payload_with(url="https://example.org/", headers={"X-Key": secret})
    await owner.put(f"/tasks/{task['id']}", {"payload": other})
    entries = await _entries(gateway, task["id"])
    assert entries[-1]["details"] == {"changed": {"payload": "changed"}}
    assert secret not in json.dumps([entry["details"] for entry in entries])


async def test_a_refused_change_leaves_none(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.put(f"/tasks/{task['id']}", {"priority": 99})
    await owner.put(f"/tasks/{task['id']}", {"title": "x"}, headers={"If-Match": '"9"'})
    await owner.post(f"/tasks/{task['id']}/resume")
    await (await gateway.caller()).post(f"/tasks/{task['id']}/cancel")
    assert [entry["action"] for entry in await _entries(gateway, task["id"])] == ["task.created"]


async def test_a_new_agent_leaves_an_entry_without_its_token(gateway: Bench, admin: Caller) -> None:
    made = (await admin.post("/agents", {"name": (name := f"agent {uuid4()}"), "scopes": ["tasks:read"]})).json()
    (entry,) = await _entries(gateway, made["id"])
    assert (entry["action"], entry["actor_id"]) == ("agent.created", admin.agent_id)
    assert entry["details"] == {"name": name, "scopes": ["tasks:read"], "limits": {}}
