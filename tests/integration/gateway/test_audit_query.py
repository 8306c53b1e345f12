"""`GET /audit`: who changed what, newest first."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, open_client

INSERT = """INSERT INTO audit_log (actor_id, actor_name, action, subject_type, subject_id, request_id)
            VALUES ($1, $2, $3, $4, $5, $6)"""


async def put(
    gateway: Bench, actor_id: UUID | None, action: str, subject_id: str, request_id: str | None = None
) -> None:
    name = "scheduler" if actor_id is None else f"agent {actor_id}"
    await gateway.pool.execute(INSERT, actor_id, name, action, action.partition(".")[0], subject_id, request_id)


async def listed(caller: Caller, **parameters: str | int) -> list[dict[str, Any]]:
    answer = await caller.get("/audit", **parameters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
async def auditor(gateway: Bench) -> Caller:
    return await gateway.caller(Scope.AUDIT_READ, Scope.TASKS_WRITE, Scope.TASKS_READ)


async def test_an_entry_tells_who_changed_what(auditor: Caller) -> None:
    task = await auditor.create_task(title="First")
    await auditor.put(f"/tasks/{task['id']}", {"title": "Second"}, headers={"X-Request-ID": "of-the-change"})
    updated, created = await listed(auditor, subject_id=task["id"])
    assert (created["action"], created["details"]["title"]) == ("task.created", "First")
    assert updated.pop("seq") > created["seq"]
    assert updated.pop("at") >= created["at"]
    assert updated.pop("trace_id") is not None
    assert updated == {
        "actor_id": str(auditor.agent_id),
        "actor_name": f"agent {auditor.agent_id}",
        "action": "task.updated",
        "subject_type": "task",
        "subject_id": task["id"],
        "details": {"changed": {"title": {"before": "First", "after": "Second"}}},
        "request_id": "of-the-change",
    }


async def test_each_filter_leaves_what_it_names(gateway: Bench, admin: Caller) -> None:
    one, other = await gateway.caller(), await gateway.caller()
    subject, run = str(uuid4()), str(uuid4())
    await put(gateway, one.agent_id, "task.created", subject, "r1")
    await put(gateway, one.agent_id, "task.run_now", subject, "r2")
    await put(gateway, other.agent_id, "taskx.created", subject)
    await put(gateway, None, "task.completed", subject)
    await put(gateway, one.agent_id, "run.canceled", run)

    async def actions(**parameters: str) -> list[str]:
        return [entry["action"] for entry in await listed(admin, **parameters)]

    assert await actions(actor=str(one.agent_id)) == ["run.canceled", "task.run_now", "task.created"]
    assert await actions(actor=f"Agent {one.agent_id}", subject_id=subject) == ["task.run_now", "task.created"]
    assert await actions(actor="scheduler", subject_id=subject) == ["task.completed"]
    assert await actions(action="task.*", subject_id=subject) == ["task.completed", "task.run_now", "task.created"]
    assert await actions(action="task.run_now", subject_id=subject) == ["task.run_now"]
    assert await actions(action="task.run%now", subject_id=subject) == []
    assert await actions(subject_type="run", subject_id=run) == ["run.canceled"]
    assert await actions(subject_type="run", subject_id=subject) == []
    assert await actions(request_id="r2", subject_id=subject) == ["task.run_now"]
    assert await actions(actor="nobody at all") == []
    oldest_first = await actions(subject_id=subject, sort="at")
    assert oldest_first == ["task.created", "task.run_now", "taskx.created", "task.completed"]


async def test_a_range_of_time_has_its_start_and_not_its_end(gateway: Bench, admin: Caller) -> None:
    subject = str(uuid4())
    for _ in range(3):
        await put(gateway, None, "task.completed", subject)
    newest, middle, oldest = await listed(admin, subject_id=subject)
    found = await listed(admin, subject_id=subject, start_time=oldest["at"], end_time=newest["at"])
    assert found == [middle, oldest]


async def test_an_agent_sees_what_it_did_itself_and_an_admin_everything(
    gateway: Bench, auditor: Caller, admin: Caller
) -> None:
    other = await gateway.caller()
    subject = str(uuid4())
    await put(gateway, auditor.agent_id, "task.created", subject)
    await put(gateway, other.agent_id, "task.updated", subject)
    await put(gateway, None, "task.completed", subject)
    assert [entry["action"] for entry in await listed(auditor, subject_id=subject)] == ["task.created"]
    assert await listed(auditor, actor=str(other.agent_id)) == []
    assert len(await listed(admin, subject_id=subject)) == 3


async def test_pages_follow_one_another_by_cursor_while_more_is_written(gateway: Bench, admin: Caller) -> None:
    subject = str(uuid4())
    for number in range(7):
        await put(gateway, None, f"task.step_{number}", subject)
    seen: list[str] = []
    parameters: dict[str, str | int] = {"subject_id": subject, "limit": 3}
    while True:
        page = (await admin.get("/audit", **parameters)).json()
        seen += [entry["action"] for entry in page["items"]]
        if not page["has_more"]:
            break
        parameters["cursor"] = page["next_cursor"]
        await put(gateway, None, "task.meanwhile", subject)
    assert seen == [f"task.step_{number}" for number in reversed(range(7))]


async def test_a_cursor_is_good_for_its_own_filters_and_its_own_agent(
    gateway: Bench, auditor: Caller, admin: Caller
) -> None:
    subject = str(uuid4())
    for _ in range(2):
        await put(gateway, auditor.agent_id, "task.created", subject)
    cursor = (await auditor.get("/audit", limit=1)).json()["next_cursor"]
    for answer in (
        await admin.get("/audit", limit=1, cursor=cursor),
        await auditor.get("/audit", limit=1, cursor=cursor, action="task.*"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"sort": "actor"}, "sort"),
        ({"start_time": "2030-01-01T00:00:00"}, "start_time"),
        ({"start_time": "2030-01-02T00:00:00Z", "end_time": "2030-01-01T00:00:00Z"}, "end_time"),
        ({"start_time": "2028-01-01T00:00:00Z", "end_time": "2030-01-01T00:00:00Z"}, "end_time"),
        ({"actor": ""}, "actor"),
        ({"subject_id": "x" * 257}, "subject_id"),
        ({"actors": "x"}, "actors"),
        ({"action": "a\0b"}, "action"),
    ],
)
async def test_wrong_parameters_are_named(admin: Caller, parameters: dict[str, str], field: str) -> None:
    for path in ("/audit", "/audit/export"):
        answer = await admin.get(path, **parameters)
        if path == "/audit/export" and field == "sort":
            continue
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")
        assert [wrong["field"] for wrong in answer.json()["validation_errors"]] == [field]


async def test_the_trail_is_closed_to_who_may_not_read_it(gateway: Bench, owner: Caller) -> None:
    for path in ("/audit", "/audit/export", "/audit/verify"):
        assert (await owner.get(path)).status_code == 403
        async with open_client(f"{gateway.url}/v1") as nobody:
            assert (await nobody.get(path)).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nobody_writes_into_the_trail(admin: Caller, method: str) -> None:
    for path in ("/audit", "/audit/export", "/audit/verify"):
        answer = await admin.client.request(method, path)
        assert (answer.status_code, answer.json()["error_code"]) == (405, "method_not_allowed")
        assert "GET" in answer.headers["allow"]


async def test_without_a_filter_all_entries_are_counted(gateway: Bench) -> None:
    admin = await gateway.admin()
    await admin.create_task()
    await admin.create_task()
    page = (await admin.get("/audit", limit=1)).json()
    assert (page["total"], page["is_total_capped"]) == (
        await gateway.pool.fetchval("SELECT count(*) FROM audit_log"),
        False,
    )
