"""Lists of runs: each filter alone and with others, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.vocabulary.ids import uuid7
from shared.vocabulary.states import FINAL_RUN_STATUSES, RunStatus
from tests.integration.gateway.bench import Bench, Caller
from tests.support.runs import lease_run, release_run

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SUCCESS = {"succeeded": True, "failed": False, "dead": False}
HINT = "Ask with include_errors=true to read the message."


async def made(
    gateway: Bench, task: dict[str, Any], at: datetime = NOON, status: str = "succeeded", **columns: object
) -> str:
    """A finished run."""
    values = {"source": "schedule", "success": SUCCESS.get(status), "finished_at": at, **columns}
    run_id, names = uuid7(at), ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(6, len(values) + 6))
    await gateway.pool.execute(
        f"INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, {names}) "
        f"VALUES ($1, $2, $3, $4, $5, {marks})",
        run_id,
        UUID(task["id"]),
        UUID(task["created_by"]),
        at,
        status,
        *values.values(),
    )
    return str(run_id)


async def ids(caller: Caller, **asked: str | int) -> list[str]:
    answer = await caller.get("/runs", **asked)
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert page["total"] >= len(page["items"])
    return [item["id"] for item in page["items"]]


async def begun(gateway: Bench, owner: Caller, task: dict[str, Any]) -> UUID:
    run_id = UUID((await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"])
    await lease_run(gateway.pool, run_id)
    return run_id


async def test_runs_are_found_by_each_status_that_is_final(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    by_status = {status.value: await made(gateway, task, status=status) for status in sorted(FINAL_RUN_STATUSES)}
    for status, run_id in by_status.items():
        assert await ids(owner, status=status) == [run_id]
        assert await ids(owner, status=status, task_id=task["id"]) == [run_id]


async def test_runs_are_found_by_each_status_that_is_not_final(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await made(gateway, task)
    queued = (await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    running, waiting, retrying = [await begun(gateway, owner, task) for _ in range(3)]
    await release_run(gateway.pool, waiting, RunStatus.WAITING)
    await release_run(gateway.pool, retrying, RunStatus.RETRYING)
    expected = {"queued": queued, "running": str(running), "waiting": str(waiting), "retrying": str(retrying)}
    for status, run_id in expected.items():
        assert await ids(owner, status=status) == [run_id]
        assert await ids(owner, status=status, source="manual", task_id=task["id"]) == [run_id]
        assert await ids(owner, status=status, source="schedule") == []


async def test_what_is_running_is_listed_in_pages(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    running = sorted([str(await begun(gateway, owner, task)) for _ in range(3)])
    first = (await owner.get("/runs", status="running", limit=2, sort="scheduled_for")).json()
    assert (first["total"], first["has_more"]) == (3, True)
    rest = (
        await owner.get("/runs", status="running", limit=2, sort="scheduled_for", cursor=first["next_cursor"])
    ).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == running


async def test_success_false_is_what_failed_and_what_died_in_one_order(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    failures = [
        await made(gateway, task, NOON + timedelta(minutes=number), status)
        for number, status in enumerate(["failed", "dead"] * 5)
    ]
    for status in ("succeeded", "canceled", "skipped"):
        await made(gateway, task, status=status)
    for sort, expected in (("-scheduled_for", failures[::-1]), ("scheduled_for", failures)):
        assert await ids(owner, success="false", sort=sort) == expected
        assert await ids(owner, success="false", sort=sort, limit=2, offset=1) == expected[1:3]
        seen: list[str] = []
        asked: dict[str, str | int] = {"success": "false", "sort": sort, "limit": 2}
        while asked.get("cursor", "") is not None:
            page = (await owner.get("/runs", **asked)).json()
            assert page["total"] == 10
            seen += [item["id"] for item in page["items"]]
            asked["cursor"] = page["next_cursor"]
        assert seen == expected


async def test_a_status_that_contradicts_success_finds_nothing(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await made(gateway, task, status="failed")
    assert await ids(owner, status="failed", success="true") == []
    assert await ids(owner, status="succeeded", success="false") == []
    assert len(await ids(owner, status="failed", success="false")) == 1


async def test_filters_join(gateway: Bench, owner: Caller) -> None:
    task, other = await owner.create_task(), await owner.create_task()
    wanted = await made(gateway, task, status="dead", source="manual")
    await made(gateway, task, status="dead")
    await made(gateway, task, source="manual")
    await made(gateway, task, NOON + timedelta(hours=1), status="dead", source="manual")
    await made(gateway, other, status="dead", source="manual")
    asked = {"task_id": task["id"], "source": "manual", "end_time": "2026-11-01T13:00:00Z"}
    assert await ids(owner, status="dead", **asked) == [wanted]
    assert await ids(owner, success="false", **asked) == [wanted]


async def test_a_range_is_exact_to_the_microsecond(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    moments = [NOON + timedelta(microseconds=us) for us in (0, 400, 999, 1000, 1600)]
    runs = [await made(gateway, task, moment) for moment in moments]

    async def between(start: int, end: int) -> set[str]:
        bounds = [(NOON + timedelta(microseconds=us)).isoformat().replace("+00:00", "Z") for us in (start, end)]
        return {*await ids(owner, start_time=bounds[0], end_time=bounds[1])}

    for start, end in ((0, 1000), (0, 400), (400, 1600), (401, 1601), (1000, 2000), (500, 900)):
        expected = {run for run, at in zip(runs, (0, 400, 999, 1000, 1600), strict=True) if start <= at < end}
        assert await between(start, end) == expected


async def test_an_error_is_a_hint_unless_asked_for(gateway: Bench, owner: Caller) -> None:
    error = {"class": "http_5xx", "message": "503 from upstream", "retryable": True, "step": "call", "attempt": 3}
    await made(gateway, await owner.create_task(), status="dead", error=error)
    (shown,) = (await owner.get("/runs")).json()["items"]
    assert shown["error"] == {**error, "message": HINT, "next_retry_at": None}
    (whole,) = (await owner.get("/runs", include_errors="true")).json()["items"]
    assert whole["error"] == {**error, "next_retry_at": None}
    assert (await owner.get(f"/runs/{shown['id']}")).json()["error"]["message"] == "503 from upstream"


async def test_an_admin_sees_the_runs_of_one_agent(gateway: Bench, owner: Caller, admin: Caller) -> None:
    other = await gateway.caller()
    mine = await made(gateway, await owner.create_task())
    foreign_task = await other.create_task()
    foreign = await made(gateway, foreign_task)
    assert await ids(admin, created_by=str(owner.agent_id)) == [mine]
    assert await ids(admin, created_by=str(owner.agent_id), task_id=foreign_task["id"]) == []
    assert await ids(admin, task_id=foreign_task["id"]) == [foreign]
    assert await ids(owner, created_by=str(owner.agent_id)) == [mine]


async def test_another_agents_runs_are_not_found_by_any_filter(gateway: Bench, owner: Caller) -> None:
    other = await gateway.caller()
    task = await other.create_task()
    await made(gateway, task, status="failed", source="manual")
    await begun(gateway, other, task)
    for asked in (
        {},
        {"created_by": str(other.agent_id)},
        {"task_id": task["id"]},
        {"success": "false"},
        {"status": "failed"},
        {"status": "running"},
        {"source": "manual"},
    ):
        assert await ids(owner, **asked) == []


@pytest.mark.parametrize("sort", ["", "status", "+scheduled_for", "scheduled_for desc", "-Scheduled_for"])
async def test_only_the_known_sorts_are_taken(owner: Caller, sort: str) -> None:
    assert (await owner.get("/runs", sort=sort)).status_code == 400


async def test_a_cursor_is_good_for_its_own_filters_only(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    for minute in range(3):
        await made(gateway, task, NOON + timedelta(minutes=minute))
    cursor = (await owner.get("/runs", limit=1)).json()["next_cursor"]
    assert (await owner.get("/runs", limit=1, cursor=cursor)).status_code == 200
    for asked in ({"success": "true"}, {"sort": "scheduled_for"}, {"include_errors": "true"}):
        answer = await owner.get("/runs", cursor=cursor, **asked)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_cursor")
    stranger = await gateway.caller()
    assert (await stranger.get("/runs", cursor=cursor)).status_code == 400


async def test_a_log_is_read_in_pages(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = await begun(gateway, owner, task)
    lines = [{"message": f"line {number}"} for number in range(5)]
    assert (await owner.post(f"/runs/{run_id}/log", {"lines": lines})).status_code == 200
    seen: list[str] = []
    asked: dict[str, str | int] = {"limit": 2}
    while asked.get("cursor", "") is not None:
        page = (await owner.get(f"/runs/{run_id}/logs", **asked)).json()
        seen += [line["message"] for line in page["items"]]
        asked["cursor"] = page["next_cursor"]
    assert seen == [line["message"] for line in lines]
    newest = (await owner.get(f"/runs/{run_id}/logs", sort="-seq", limit=1)).json()
    assert [line["message"] for line in newest["items"]] == ["line 4"]
