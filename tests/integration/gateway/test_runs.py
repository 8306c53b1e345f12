import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from shared.vocabulary.ids import uuid7
from tests.integration.gateway.bench import Bench, Caller


async def _make_run(gateway: Bench, task: dict[str, Any], at: datetime, **columns: object) -> str:
    values = {"status": "succeeded", "success": True, "source": "schedule", **columns}
    run_id = uuid7(at)
    names = ", ".join(values)
    marks = ", ".join(f"${number}" for number in range(5, len(values) + 5))
    await gateway.pool.execute(
        f"INSERT INTO task_run (id, task_id, agent_id, scheduled_for, {names}) VALUES ($1, $2, $3, $4, {marks})",
        run_id,
        UUID(task["id"]),
        UUID(task["created_by"]),
        at,
        *values.values(),
    )
    return str(run_id)


async def test_a_run_is_shown_with_its_outcome(gateway: Bench, owner: Caller) -> None:
    task, at = await owner.create_task(), datetime(2026, 11, 1, 12, tzinfo=UTC)
    run_id = await _make_run(
        gateway,
        task,
        at,
        status="failed",
        success=False,
        attempt=3,
        lease_owner="executor-1",
        started_at=at,
        finished_at=at + timedelta(seconds=2),
        error={"class": "http_5xx", "message": "503", "retryable": True},
        output={"status": 503},
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )
    assert (await owner.get(f"/runs/{run_id}")).json() == {
        "id": run_id,
        "task_id": task["id"],
        "scheduled_for": "2026-11-01T12:00:00Z",
        "status": "failed",
        "success": False,
        "attempt": 3,
        "source": "schedule",
        "started_at": "2026-11-01T12:00:00Z",
        "finished_at": "2026-11-01T12:00:02Z",
        "lease_owner": "executor-1",
        "next_attempt_at": None,
        "cancel_requested_at": None,
        "error": {
            "class": "http_5xx",
            "message": "503",
            "retryable": True,
            "step": None,
            "attempt": None,
            "next_retry_at": None,
        },
        "output": {"status": 503},
        "is_output_omitted": False,
        "skip_reason": None,
        "replay_of": None,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "created_by": task["created_by"],
        "event": None,
        "steps": [],
        "attempts": [],
    }


async def test_runs_are_listed_newest_first_a_page_at_a_time(gateway: Bench, owner: Caller) -> None:
    task, at = await owner.create_task(), datetime(2026, 11, 1, tzinfo=UTC)
    made = [await _make_run(gateway, task, at + timedelta(hours=hour)) for hour in range(4)]
    page = (await owner.get("/runs", limit=2, offset=1)).json()
    assert [item["id"] for item in page["items"]] == [made[2], made[1]]
    assert (page["total"], page["has_more"]) == (4, True)


async def test_runs_are_filtered_by_task_status_success_source_and_time(gateway: Bench, owner: Caller) -> None:
    one, two, at = await owner.create_task(), await owner.create_task(), datetime(2026, 11, 1, tzinfo=UTC)
    good = await _make_run(gateway, one, at)
    bad = await _make_run(gateway, one, at + timedelta(hours=1), status="dead", success=False)
    manual = await _make_run(gateway, two, at + timedelta(hours=2), source="manual", status="queued", success=None)

    async def ids(**filters: str) -> list[str]:
        return [item["id"] for item in (await owner.get("/runs", **filters)).json()["items"]]

    assert await ids(task_id=one["id"]) == [bad, good]
    assert await ids(status="dead") == [bad]
    assert await ids(success="true") == [good]
    assert await ids(success="false") == [bad]
    assert await ids(source="manual") == [manual]
    assert await ids(start_time="2026-11-01T01:00:00Z") == [manual, bad]
    assert await ids(end_time="2026-11-01T01:00:00Z") == [good]
    assert await ids(start_time="2026-11-01T03:00:00+02:00", end_time="2026-11-01T02:00:00Z") == [bad]


async def test_a_large_output_is_left_out_of_a_list_and_said_to_be(gateway: Bench, owner: Caller) -> None:
    task, at = await owner.create_task(), datetime(2026, 11, 1, tzinfo=UTC)
    large = {"body": json.dumps([*range(5000)])}
    run_id = await _make_run(gateway, task, at, output=large)
    repeating = {"body": "x" * 100_000}
    packed_id = await _make_run(gateway, task, at + timedelta(hours=1), output=repeating)
    items = (await owner.get("/runs")).json()["items"]
    assert [(item["id"], item["output"], item["is_output_omitted"]) for item in items] == [
        (packed_id, None, True),
        (run_id, None, True),
    ]
    assert (await owner.get(f"/runs/{run_id}")).json()["output"] == large


async def test_a_small_output_is_in_the_list(gateway: Bench, owner: Caller) -> None:
    await _make_run(gateway, await owner.create_task(), datetime(2026, 11, 1, tzinfo=UTC), output={"a": 1})
    (item,) = (await owner.get("/runs")).json()["items"]
    assert (item["output"], item["is_output_omitted"]) == ({"a": 1}, False)


async def test_the_latest_run_of_a_task_is_the_newest_by_nominal_time(gateway: Bench, owner: Caller) -> None:
    task, at = await owner.create_task(), datetime(2026, 11, 1, tzinfo=UTC)
    newest = await _make_run(gateway, task, at + timedelta(hours=1))
    await _make_run(gateway, task, at)
    assert (await owner.get(f"/runs/task/{task['id']}/latest")).json()["id"] == newest


async def test_a_task_that_never_ran_has_no_latest_run(owner: Caller) -> None:
    task = await owner.create_task()
    answer = await owner.get(f"/runs/task/{task['id']}/latest")
    assert (answer.status_code, answer.json()["detail"]) == (404, "This task has no run yet.")


async def test_a_range_may_end_with_the_last_instant_that_there_is(owner: Caller) -> None:
    answer = await owner.get("/runs", end_time="9999-12-31T23:59:59.999999Z")
    assert (answer.status_code, answer.json()["items"]) == (200, [])
