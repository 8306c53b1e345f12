"""A run shows all that is known of it; a list shows what it needs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from tests.integration.gateway.bench import Bench, Caller
from tests.integration.gateway.test_run_callbacks import make_run
from tests.support.runs import park_run, release_run

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
STEP = "INSERT INTO run_step (run_id, step_id, status, attempt, output, error, started_at, finished_at) "


async def test_steps_are_told_in_the_order_in_which_they_began(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    failure = {"class": "http_5xx", "message": "503", "retryable": True, "step": "b", "attempt": 2}
    for number, (name, status, output, error) in enumerate(
        [("b", "succeeded", {"x": 1}, None), ("a[1]", "failed", None, failure), ("a[0]", "skipped", None, None)]
    ):
        at = AT + timedelta(seconds=number)
        await gateway.pool.execute(
            f"{STEP} VALUES ($1, $2, $3, 1, $4, $5, $6, $6)", run_id, name, status, output, error, at
        )
    steps = (await owner.get(f"/runs/{run_id}")).json()["steps"]
    assert [step["id"] for step in steps] == ["b", "a[1]", "a[0]"]
    assert steps[0] == {
        "id": "b",
        "status": "succeeded",
        "attempt": 1,
        "output": {"x": 1},
        "is_output_omitted": False,
        "error": None,
        "started_at": "2026-11-01T12:00:00Z",
        "finished_at": "2026-11-01T12:00:00Z",
        "wait_kind": None,
        "deadline_at": None,
    }
    assert steps[1]["error"] == {**failure, "next_retry_at": None}


async def test_a_waiting_step_tells_for_what_and_how_long(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    await park_run(gateway.pool, run_id)
    run = (await owner.get(f"/runs/{run_id}")).json()
    (step,) = run["steps"]
    assert (run["status"], step["status"], step["wait_kind"]) == ("waiting", "waiting", "callback")
    assert step["deadline_at"] is not None


async def test_a_retry_tells_when_it_comes_and_the_attempts_before_it(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    await release_run(gateway.pool, run_id, "retrying")
    failure = {"class": "timeout", "message": "slow", "retryable": True}
    await gateway.pool.execute("UPDATE task_run SET error = $2 WHERE id = $1", run_id, failure)
    for fence in (2, 1):
        await gateway.pool.execute(
            "INSERT INTO run_attempt (run_id, fence, attempt, executor, started_at, finished_at, error) "
            "VALUES ($1, $2::bigint, $2::bigint, 'e', $3, $3, $4)",
            run_id,
            fence,
            AT,
            failure,
        )
    run = (await owner.get(f"/runs/{run_id}")).json()
    listed = (await owner.get("/runs", task_id=run["task_id"])).json()["items"][0]
    assert run["error"]["next_retry_at"] == run["next_attempt_at"] == listed["error"]["next_retry_at"] is not None
    assert (run["error"]["step"], run["error"]["attempt"]) == (None, None)
    assert [(each["attempt"], each["executor"], each["error"]["class"]) for each in run["attempts"]] == [
        (1, "e", "timeout"),
        (2, "e", "timeout"),
    ]
    assert {"steps", "attempts", "event"}.isdisjoint(listed)


async def test_an_output_may_be_any_value(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    for output in ([1, "two"], "text", 3, False, {"a": None}):
        await gateway.pool.execute("UPDATE task_run SET output = $2 WHERE id = $1", run_id, output)
        run = (await owner.get(f"/runs/{run_id}")).json()
        assert run["output"] == output
        assert (await owner.get("/runs", task_id=run["task_id"])).json()["items"][0]["output"] == output


async def test_of_many_large_outputs_of_steps_the_later_ones_are_left_out(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    for number in range(6):
        at = AT + timedelta(seconds=number)
        await gateway.pool.execute(
            f"{STEP} VALUES ($1, $2, 'succeeded', 1, $3, NULL, $4, $4)", run_id, f"s{number}", "x" * 250_000, at
        )
    steps = (await owner.get(f"/runs/{run_id}")).json()["steps"]
    assert [step["is_output_omitted"] for step in steps] == [False] * 4 + [True] * 2
    assert [step["output"] is None for step in steps] == [False] * 4 + [True] * 2


async def test_an_error_that_somebody_wrote_by_hand_does_not_hide_its_run(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    await gateway.pool.execute("UPDATE task_run SET error = $2 WHERE id = $1", run_id, {"note": "odd"})
    assert (await owner.get(f"/runs/{run_id}")).json()["error"]["class"] == "internal"


async def test_what_was_made_ahead_and_has_not_begun_has_no_story(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    await gateway.pool.execute("DELETE FROM task_run WHERE id = $1", run_id)
    for method, path in [("GET", ""), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/replay")]:
        answer = await owner.client.request(method, f"/runs/{run_id}{path}")
        assert answer.status_code == 404
    assert await gateway.pool.fetchval("SELECT count(*) FROM due_work WHERE id = $1", run_id) == 1


async def test_the_newest_run_of_a_task_is_told_as_a_whole(gateway: Bench, owner: Caller) -> None:
    run_id = await make_run(owner)
    task_id = (await owner.get(f"/runs/{run_id}")).json()["task_id"]
    await park_run(gateway.pool, UUID(str(run_id)))
    assert (await owner.get(f"/runs/task/{task_id}/latest")).json()["steps"][0]["id"] == "call"
