import asyncio
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest

from tests.integration.gateway.bench import Bench, Caller, task_body


async def _entries(gateway: Bench, task: dict[str, Any]) -> list[str]:
    rows = await gateway.pool.fetch("SELECT action FROM audit_log WHERE subject_id = $1 ORDER BY at, seq", task["id"])
    return [row["action"] for row in rows]


async def test_what_is_not_there_is_created(gateway: Bench, owner: Caller) -> None:
    answer = await owner.put("/tasks/by-key/report", task_body(title="Report"))
    made = answer.json()
    assert (answer.status_code, made["title"], made["dedupe_key"], made["version"]) == (201, "Report", "report", 1)
    assert (answer.headers["location"], answer.headers["etag"]) == (f"/v1/tasks/{made['id']}", '"1"')
    assert await owner.show_task(made["id"]) == made
    assert await _entries(gateway, made) == ["task.created"]


async def test_said_twice_it_changes_nothing(gateway: Bench, owner: Caller) -> None:
    body = task_body(
        title=" Report ",
        schedule_kind="rrule",
        schedule_expr="FREQ=DAILY;INTERVAL=2",
        tags=["a", "a"],
        starts_at="2030-01-01T00:00:00+02:00",
        exclusions=["2030-12-25"],
        concurrency_key="k",
        rate_limit={"limit": 1, "period_seconds": 60},
        on_failure={"publish": {"topic": "report.failed"}},
    )
    first = await owner.put("/tasks/by-key/report", body)
    query = "SELECT anchor_at, schedule_rev, xmin::text FROM task WHERE id = $1"
    before = await gateway.row(query, UUID(first.json()["id"]))
    second = await owner.put("/tasks/by-key/report", {**body, "dedupe_key": "report"})
    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert second.headers["etag"] == '"1"'
    assert await gateway.row(query, UUID(first.json()["id"])) == before
    assert await _entries(gateway, first.json()) == ["task.created"]


async def test_what_differs_is_changed_and_what_is_left_out_has_its_default(gateway: Bench, owner: Caller) -> None:
    made = (await owner.put("/tasks/by-key/report", task_body(priority=1, tags=["a"], max_runs=5))).json()
    answer = await owner.put("/tasks/by-key/report", task_body(title="Other", schedule_expr="5 * * * *"))
    changed = answer.json()
    assert (answer.status_code, answer.headers["etag"]) == (200, '"2"')
    assert (changed["id"], changed["title"], changed["version"]) == (made["id"], "Other", 2)
    assert (changed["priority"], changed["tags"], changed["max_runs"]) == (5, [], None)
    assert changed["next_run_at"][14:16] == "05"
    assert await _entries(gateway, made) == ["task.created", "task.updated"]


async def test_a_paused_task_stays_paused(owner: Caller) -> None:
    made = (await owner.put("/tasks/by-key/report", task_body())).json()
    await owner.post(f"/tasks/{made['id']}/pause", {"note": "quiet"})
    changed = (await owner.put("/tasks/by-key/report", task_body(schedule_expr="5 * * * *"))).json()
    assert (changed["status"], changed["status_note"], changed["next_run_at"]) == ("paused", "quiet", None)


async def test_what_is_canceled_gives_its_key_free(owner: Caller) -> None:
    made = (await owner.put("/tasks/by-key/report", task_body())).json()
    await owner.post(f"/tasks/{made['id']}/cancel")
    again = await owner.put("/tasks/by-key/report", task_body())
    assert again.status_code == 201
    assert again.json()["id"] != made["id"]


async def test_a_task_that_was_created_otherwise_is_the_same(owner: Caller) -> None:
    made = await owner.create_task(dedupe_key="report")
    answer = await owner.put("/tasks/by-key/report", task_body())
    assert (answer.status_code, answer.json()) == (200, made)


async def test_a_key_belongs_to_its_agent(gateway: Bench, owner: Caller, admin: Caller) -> None:
    mine = (await owner.put("/tasks/by-key/report", task_body())).json()
    theirs = await (await gateway.caller()).put("/tasks/by-key/report", task_body())
    admins = await admin.put("/tasks/by-key/report", task_body(created_by=str(owner.agent_id), title="By an admin"))
    assert theirs.status_code == 201
    assert (admins.status_code, admins.json()["id"], admins.json()["title"]) == (200, mine["id"], "By an admin")


@pytest.mark.parametrize("key", ["a/b", "a%b", "ключ", "a b", "tail/", "q?x#y", "%2F"])
async def test_a_key_is_percent_encoded_in_the_path(gateway: Bench, owner: Caller, key: str) -> None:
    path = f"/tasks/by-key/{quote(key, safe='')}"
    headers = {"Authorization": f"Bearer {owner.token.text}"}
    # One that does not look the path up in the document, where a slash would be another path.
    async with httpx.AsyncClient(base_url=f"{gateway.url}/v1", headers=headers, verify=False) as client:  # noqa: S501
        first = await client.put(path, json=task_body())
        again = await client.put(path, json=task_body(dedupe_key=key))
    assert (first.status_code, first.json()["dedupe_key"]) == (201, key)
    assert (again.status_code, again.json()) == (200, first.json())


@pytest.mark.parametrize(
    ("path", "code"),
    [("x" * 129, "too_long"), ("a%00b", "invalid_character"), ("a%ffb", "invalid_character")],
)
async def test_a_key_that_cannot_be_one_is_refused(owner: Caller, path: str, code: str) -> None:
    answer = await owner.put(f"/tasks/by-key/{path}", task_body())
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert answer.json()["validation_errors"][0]["field"] == "dedupe_key"


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"dedupe_key": "another"}, "dedupe_key", "invalid_choice"),
        ({"title": " "}, "title", "required"),
        ({"schedule_expr": "61 * * * *"}, "schedule_expr", "invalid_schedule"),
        ({"status": "paused"}, "status", "unknown_field"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
async def test_a_wrong_declaration_is_refused_whether_the_task_is_there_or_not(
    owner: Caller, changes: dict[str, object], field: str, code: str, is_there: bool
) -> None:
    if is_there:
        await owner.put("/tasks/by-key/report", task_body())
    answer = await owner.put("/tasks/by-key/report", task_body(**changes))
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)
    assert answer.json()["validation_errors"][0]["field"] == field


async def test_if_match_is_for_the_version_that_was_read(owner: Caller) -> None:
    absent = await owner.put("/tasks/by-key/report", task_body(), headers={"If-Match": "*"})
    assert (absent.status_code, absent.json()["error_code"]) == (412, "version_conflict")
    await owner.put("/tasks/by-key/report", task_body())
    stale = await owner.put("/tasks/by-key/report", task_body(title="x"), headers={"If-Match": '"2"'})
    fresh = await owner.put("/tasks/by-key/report", task_body(title="x"), headers={"If-Match": '"1"'})
    wrong = await owner.put("/tasks/by-key/report", task_body(title="x"), headers={"If-Match": "nonsense"})
    assert (stale.status_code, fresh.status_code, wrong.status_code) == (412, 200, 400)


async def test_if_none_match_creates_only(owner: Caller) -> None:
    only_new = {"If-None-Match": "*"}
    first = await owner.put("/tasks/by-key/report", task_body(), headers=only_new)
    second = await owner.put("/tasks/by-key/report", task_body(title="x"), headers=only_new)
    assert (first.status_code, second.status_code) == (201, 412)
    assert await owner.show_task(first.json()["id"]) == first.json()


async def test_many_declarations_at_once_are_one_task(owner: Caller) -> None:
    answers = await asyncio.gather(*(owner.put("/tasks/by-key/report", task_body()) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_beside_creations_of_the_same_key_it_is_still_one_task(owner: Caller) -> None:
    body = task_body(dedupe_key="report", dedupe_window_seconds=60)
    declared = [owner.put("/tasks/by-key/report", body) for _ in range(4)]
    answers = await asyncio.gather(*declared, *(owner.post("/tasks", body) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert (await owner.get("/tasks")).json()["total"] == 1
