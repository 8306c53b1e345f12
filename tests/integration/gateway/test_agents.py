from typing import Any
from uuid import uuid4

import pytest

from shared.vocabulary.scopes import DEFAULT_SCOPES, Scope
from tests.integration.gateway.bench import Bench, Caller


def _name() -> str:
    return f"agent {uuid4()}"


async def test_a_new_agent_comes_with_a_token_that_works(gateway: Bench, admin: Caller) -> None:
    answer = await admin.post("/agents", {"name": (name := _name())})
    made = answer.json()
    client = await gateway.client(Authorization=f"Bearer {made['token']}")
    own = (await client.get("/agents/me")).json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/agents/{made['id']}"
    assert (own["id"], own["name"], own["status"]) == (made["id"], name, "active")
    assert own["scopes"] == sorted(DEFAULT_SCOPES)
    assert "token" not in own


async def test_the_first_token_expires_after_ninety_days(gateway: Bench, admin: Caller) -> None:
    made = (await admin.post("/agents", {"name": _name()})).json()
    row = await gateway.row(
        "SELECT expires_at - created_at AS lasts FROM agent_token WHERE key_id = $1", made["token_key_id"]
    )
    assert row["lasts"].days == 90


async def test_what_is_given_comes_back(admin: Caller) -> None:
    given = {
        "name": _name(),
        "scopes": ["runs:read", "tasks:read"],
        "webhook_url": "https://example.com/hook",
        "limits": {"min_interval_seconds": 30},
    }
    made = (await admin.post("/agents", given)).json()
    shown = (await admin.get(f"/agents/{made['id']}")).json()
    assert {name: shown[name] for name in given} == given


async def test_the_limit_of_an_agent_holds_for_its_schedules(gateway: Bench, admin: Caller) -> None:
    made = (await admin.post("/agents", {"name": _name(), "limits": {"min_interval_seconds": 7200}})).json()
    client = await gateway.client(Authorization=f"Bearer {made['token']}")
    answer = await client.post("/tasks", json={**_hourly(), "schedule_expr": "0 * * * *"})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "schedule_too_frequent")


@pytest.mark.parametrize("same", ["Name {}", "nAME {}", "\uff2eame {}", " Name {} "])
async def test_a_name_that_looks_the_same_is_taken(admin: Caller, same: str) -> None:
    mark = uuid4().hex
    await admin.post("/agents", {"name": f"Name {mark}"})
    answer = await admin.post("/agents", {"name": same.format(mark)})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_exists")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"name": ""}, 422, "required"),
        ({"name": "  "}, 422, "required"),
        ({"name": "x" * 101}, 422, "too_long"),
        ({"name": "a\u202eb"}, 422, "invalid_character"),
        ({"scopes": ["tasks:reed"]}, 422, "unknown_scope"),
        ({"scopes": "tasks:read"}, 422, "invalid_type"),
        ({"limits": {"min_interval_seconds": 0}}, 422, "out_of_range"),
        ({"limits": {"speed": 1}}, 422, "unknown_field"),
        ({"webhook_url": "http://169.254.169.254/"}, 422, "destination_forbidden"),
        ({"status": "active"}, 422, "unknown_field"),
        ({"id": str(uuid4())}, 422, "unknown_field"),
    ],
)
async def test_a_wrong_value_is_refused(admin: Caller, changes: dict[str, Any], status: int, code: str) -> None:
    answer = await admin.post("/agents", {"name": _name(), **changes})
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


async def test_nobody_grants_a_scope_that_it_lacks(gateway: Bench) -> None:
    manager = await gateway.caller(Scope.AGENTS_ADMIN, Scope.TASKS_READ)
    refused = await manager.post("/agents", {"name": _name(), "scopes": ["tasks:read", "audit:read", "admin"]})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "scope_escalation")
    assert "admin, audit:read" in refused.json()["detail"]
    granted = await manager.post("/agents", {"name": _name()})
    assert granted.json()["scopes"] == ["tasks:read"]


async def test_only_an_admin_allows_schedules_more_frequent_than_usual(gateway: Bench, admin: Caller) -> None:
    wanted = {"limits": {"min_interval_seconds": 2}}
    manager = await gateway.caller(Scope.AGENTS_ADMIN)
    assert (await manager.post("/agents", {"name": _name(), **wanted})).status_code == 422
    assert (await admin.post("/agents", {"name": _name(), **wanted})).status_code == 201


async def test_an_agent_without_the_scope_creates_none(owner: Caller) -> None:
    answer = await owner.post("/agents", {"name": _name()})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


async def test_agents_see_themselves_and_managers_see_all(gateway: Bench) -> None:
    reader = await gateway.caller(Scope.AGENTS_READ)
    other = await gateway.caller()
    manager = await gateway.caller(Scope.AGENTS_READ, Scope.AGENTS_ADMIN)
    assert [item["id"] for item in (await reader.get("/agents")).json()["items"]] == [str(reader.agent_id)]
    assert (await reader.get(f"/agents/{reader.agent_id}")).status_code == 200
    assert (await reader.get(f"/agents/{other.agent_id}")).status_code == 404
    assert (await reader.get(f"/agents/{uuid4()}")).status_code == 404
    assert (await manager.get(f"/agents/{other.agent_id}")).status_code == 200
    assert (await manager.get("/agents")).json()["total"] >= 3


async def test_a_token_cannot_be_read_back(admin: Caller) -> None:
    made = (await admin.post("/agents", {"name": _name()})).json()
    assert "token" not in (await admin.get(f"/agents/{made['id']}")).json()


def _hourly() -> dict[str, Any]:
    call = {"id": "call", "uses": "http.request", "with": {"url": "https://example.com/"}}
    return {"title": "x", "schedule_kind": "cron", "timezone": "UTC", "payload": {"pipeline": [call]}}


async def test_agents_are_found_by_name_scope_and_status(admin: Caller) -> None:
    mark = uuid4().hex
    names = {suffix: f"{mark} {suffix}" for suffix in ("Ä%x", "b_y", "c")}
    scopes = {"Ä%x": ["tasks:read"], "b_y": ["runs:read"], "c": ["runs:read", "tasks:read"]}
    made = {
        suffix: (await admin.post("/agents", {"name": name, "scopes": scopes[suffix]})).json()["id"]
        for suffix, name in names.items()
    }
    await admin.put(f"/agents/{made['c']}", {"status": "disabled"})

    async def found(**filters: str) -> list[str]:
        items = (await admin.get("/agents", **{"name_filter": mark, "sort": "name", **filters})).json()["items"]
        return [item["name"].removeprefix(f"{mark} ") for item in items]

    assert await found() == ["b_y", "c", "Ä%x"]
    assert await found(sort="-name") == ["Ä%x", "c", "b_y"]
    assert await found(sort="-created_at") == ["c", "b_y", "Ä%x"]
    assert await found(name_filter=f"{mark.upper()} ä%") == ["Ä%x"]
    assert await found(name_filter=f"{mark} _") == []
    assert await found(scope_filter="runs:read") == ["b_y", "c"]
    assert await found(scope_filter="runs:read", status="active") == ["b_y"]


async def test_agents_are_listed_page_by_page(admin: Caller) -> None:
    mark = uuid4().hex
    for letter in "dacbe":
        await admin.post("/agents", {"name": f"{mark} {letter}"})
    names, cursor = [], None
    for _ in range(3):
        query: dict[str, str | int] = {"name_filter": mark, "sort": "name", "limit": 2}
        page = (await admin.get("/agents", **query, **({} if cursor is None else {"cursor": cursor}))).json()
        names += [item["name"][-1] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (names, cursor, page["total"]) == (["a", "b", "c", "d", "e"], None, 5)


@pytest.mark.parametrize(
    "query", ["sort=scopes", "scope_filter=tasks:reed", "status=deleted", "name_filter=%00", "name_filter="]
)
async def test_a_list_that_cannot_be_is_refused(admin: Caller, query: str) -> None:
    answer = await admin.client.get(f"/agents?{query}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")


async def test_the_cursor_of_another_agent_is_refused(gateway: Bench, admin: Caller) -> None:
    cursor = (await admin.get("/agents", limit=1)).json()["next_cursor"]
    answer = await (await gateway.admin()).get("/agents", limit=1, cursor=cursor)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_cursor")


async def test_an_agent_sees_what_holds_for_it(admin: Caller, owner: Caller) -> None:
    me = (await owner.get("/agents/me")).json()
    assert me["current_token"]["key_id"] == owner.token.key_id
    assert me["usage"] == {"active_tasks": 0, "runs_today": 0}
    assert me["limits_in_effect"] == {
        "active_tasks": 1000,
        "min_interval_seconds": 10,
        "runs_per_day": None,
        "requests_per_minute": 6000,
        "task_creations_per_hour": 100,
    }
    own = {
        "active_tasks": 2,
        "min_interval_seconds": 60,
        "runs_per_day": 3,
        "requests_per_minute": 500,
        "task_creations_per_hour": 7,
    }
    await admin.put(f"/agents/{owner.agent_id}", {"limits": own})
    await owner.create_task()
    me = (await owner.get("/agents/me")).json()
    assert (me["limits"], me["limits_in_effect"], me["usage"]["active_tasks"]) == (own, own, 1)


async def test_runs_that_have_begun_today_are_told(gateway: Bench, owner: Caller) -> None:
    zeros = "0, 0, 0, 0, 0, 0"
    await gateway.pool.execute(
        "INSERT INTO run_rollup (subject_id, hours, since, begun, succeeded, failed, dead, canceled, skipped, expired, "
        f"executed, execution_us, lateness_us, executions, latenesses) "
        f"SELECT $1, 1, date_trunc('day', now(), 'UTC') + h * interval '1 hour', 2, {zeros}, 0, 0, 0, '{{}}', '{{}}' "
        "FROM generate_series(-1, 1) AS h",
        owner.agent_id,
    )
    assert (await owner.get("/agents/me")).json()["usage"]["runs_today"] == 4
