from datetime import UTC, datetime, time, timedelta
from typing import cast
from uuid import uuid4

import pytest

from services.gateway.app import Parts, build_routes
from services.gateway.http.access import access_of
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.documented import Nothing

ON_A_TASK = [
    ("GET", "/tasks/{id}"),
    ("PUT", "/tasks/{id}"),
    ("POST", "/tasks/{id}/run_now"),
    ("POST", "/tasks/{id}/pause"),
    ("POST", "/tasks/{id}/resume"),
    ("POST", "/tasks/{id}/cancel"),
    ("GET", "/tasks/{id}/upcoming"),
    ("GET", "/tasks/{id}/explain"),
    ("POST", "/tasks/{id}/snooze"),
    ("POST", "/tasks/{id}/skip"),
    ("GET", "/runs/task/{id}/latest"),
]
MIDNIGHT = datetime.combine(datetime.now(UTC) + timedelta(days=2), time.min, UTC)
BODIES = {"snooze": {"delay_seconds": 60}, "skip": {"scheduled_for": MIDNIGHT.isoformat()}}
NEEDS = {"GET": Scope.TASKS_READ, "PUT": Scope.TASKS_WRITE, "POST": Scope.TASKS_WRITE}


async def _ask(caller: Caller, method: str, path: str) -> tuple[int, dict[str, object]]:
    body = BODIES.get(path.rpartition("/")[2], {})
    answer = await caller.client.request(method, path, json=body if method != "GET" else None)
    return answer.status_code, {name: value for name, value in answer.json().items() if name != "request_id"}


@pytest.mark.parametrize(("method", "path"), ON_A_TASK)
async def test_the_task_of_another_agent_is_answered_as_if_it_did_not_exist(
    gateway: Bench, owner: Caller, method: str, path: str
) -> None:
    task = await owner.create_task()
    other = await gateway.caller()
    foreign = await _ask(other, method, path.format(id=task["id"]))
    missing = await _ask(other, method, path.format(id=uuid4()))
    assert foreign == missing
    assert foreign[0] == 404
    assert await owner.show_task(task["id"]) == task


@pytest.mark.parametrize(("method", "path"), ON_A_TASK[:10])
async def test_an_own_task_needs_the_scope_and_an_admin_needs_none_but_admin(
    gateway: Bench, owner: Caller, admin: Caller, method: str, path: str
) -> None:
    task = await owner.create_task()
    powerless = await gateway.caller(*(scope for scope in Scope if scope not in (NEEDS[method], Scope.ADMIN)))
    status, problem = await _ask(powerless, method, path.format(id=task["id"]))
    assert (status, problem["error_code"]) == (403, "insufficient_scope")
    # 409: the task is active, and only a paused one can be resumed.
    assert (await _ask(admin, method, path.format(id=task["id"])))[0] in (200, 409)


async def test_a_list_shows_ones_own_tasks_and_to_an_admin_those_of_all(gateway: Bench, owner: Caller) -> None:
    mine = await owner.create_task()
    other = await gateway.caller()
    theirs = await other.create_task()
    assert [each["id"] for each in (await other.get("/tasks")).json()["items"]] == [theirs["id"]]
    admin = await gateway.admin()
    for task in (mine, theirs):
        listed = (await admin.get("/tasks", created_by=task["created_by"])).json()["items"]
        assert [each["id"] for each in listed] == [task["id"]]


async def test_asking_for_the_tasks_of_another_agent_gives_an_empty_list(gateway: Bench, owner: Caller) -> None:
    await owner.create_task()
    answer = await (await gateway.caller()).get("/tasks", created_by=str(owner.agent_id))
    assert (answer.status_code, answer.json()["items"], answer.json()["total"]) == (200, [], 0)


async def test_the_run_of_another_agent_is_answered_as_if_it_did_not_exist(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = (await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    other = await gateway.caller()
    assert await _ask(other, "GET", f"/runs/{run_id}") == await _ask(other, "GET", f"/runs/{uuid4()}")
    assert (await other.get("/runs", task_id=task["id"])).json()["items"] == []
    assert (await owner.get(f"/runs/{run_id}")).status_code == 200


def test_only_health_and_the_schema_are_open_to_all() -> None:
    app = build_routes(cast("Parts", Nothing()))
    opened = {
        route.path.removeprefix("/v1")
        for route in app.routes
        for handler in getattr(route, "route_handlers", [])
        if (access := access_of(handler)) is not None and access.is_public
    }
    of_modules = {f"/{module}/health" for module in ("tasks", "runs", "events", "agents")}
    probes = {"/health", "/health/live", "/health/ready", *of_modules}
    assert {path for path in opened if not path.startswith("/schema")} == probes
