"""Every status of a run and every way into it, as a client sees them; the receiver's log is the other witness."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.stack import Stack
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until

Json = dict[str, Any]
FAR = "0 0 1 1 *"


def step(step_id: str, uses: str, **arguments: object) -> Json:
    return {"id": step_id, "uses": uses, "with": arguments}


async def begun(stack: Stack, pipeline: list[Any], **fields: object) -> str:
    """The id of a run that was asked for."""
    task = await stack.schedule("cron", FAR, {"pipeline": pipeline}, **fields)
    return await again(stack, task["id"])


async def again(stack: Stack, task_id: str) -> str:
    status, answer = await stack.call("POST", f"/tasks/{task_id}/run_now")
    assert status == 200, answer
    return str(answer["details"]["run_id"])


async def show(stack: Stack, run_id: str) -> Json:
    status, run = await stack.call("GET", f"/runs/{run_id}")
    assert status == 200, run
    return dict(run)


async def reached(stack: Stack, run_id: str, status: str) -> Json:
    async def is_there() -> bool:
        return bool((await show(stack, run_id))["status"] == status)

    await wait_until(is_there)
    return await show(stack, run_id)


@pytest.fixture
async def silent(receiver: Receiver) -> AsyncIterator[Receiver]:
    """Answers nothing until the test ends."""
    receiver.may_answer.clear()
    yield receiver
    receiver.may_answer.set()


def answering(receiver: Receiver, status: int) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0)
        return web.json_response({}, status=status)

    receiver.answer = answer


async def test_running_becomes_succeeded(stack: Stack, silent: Receiver) -> None:
    run_id = await begun(stack, [step("call", "http.request", url=silent.url)])
    assert (await reached(stack, run_id, "running"))["success"] is None
    silent.may_answer.set()
    run = await reached(stack, run_id, "succeeded")
    assert (run["success"], run["attempt"], run["error"]) == (True, 1, None)


async def test_a_failure_that_stays_is_failed_at_once(stack: Stack, receiver: Receiver) -> None:
    answering(receiver, 404)
    run_id = await begun(stack, [step("call", "http.request", url=receiver.url)])
    run = await reached(stack, run_id, "failed")
    assert run["success"] is False
    assert (run["error"]["class"], run["error"]["step"], run["error"]["retryable"]) == ("http_4xx", "call", False)


async def test_a_failure_that_may_pass_is_retrying_and_then_canceled(stack: Stack, receiver: Receiver) -> None:
    answering(receiver, 503)
    run_id = await begun(stack, [step("call", "http.request", url=receiver.url)])
    run = await reached(stack, run_id, "retrying")
    assert (run["success"], run["error"]["class"]) == (None, "http_5xx")
    assert datetime.fromisoformat(run["error"]["next_retry_at"]) > datetime.now(UTC)

    status, _ = await stack.call("POST", f"/runs/{run_id}/cancel", {"reason": "no need any more"})
    assert status == 200
    run = await show(stack, run_id)
    assert (run["status"], run["success"], run["error"]["class"]) == ("canceled", None, "canceled")
    assert len(receiver.keys) == 1


async def test_the_last_retry_leaves_a_dead_run_with_its_story(stack: Stack, receiver: Receiver) -> None:
    answering(receiver, 500)
    run_id = await begun(stack, [step("call", "http.request", url=receiver.url)], max_retries=0)
    run = await reached(stack, run_id, "dead")
    assert (run["success"], run["error"]["class"]) == (False, "http_5xx")
    assert [attempt["error"]["class"] for attempt in run["attempts"]] == ["http_5xx"]

    status, answer = await stack.call("POST", f"/runs/{run_id}/replay")
    assert status in (200, 201), answer
    answering(receiver, 200)
    replay = await reached(stack, answer["details"]["run_id"], "succeeded")
    assert replay["replay_of"] == run_id


async def test_a_running_run_is_stopped_within_a_second_and_its_receiver_is_told_nothing_more(
    stack: Stack, silent: Receiver
) -> None:
    pipeline = [step("first", "http.request", url=silent.url), step("second", "http.request", url=silent.url)]
    run_id = await begun(stack, pipeline)
    await wait_until(lambda: silent.keys)
    asked_at = time.monotonic()
    await stack.call("POST", f"/runs/{run_id}/cancel")
    await reached(stack, run_id, "canceled")
    took_seconds = time.monotonic() - asked_at
    silent.may_answer.set()
    assert silent.keys == [f"{run_id}:first"]
    assert took_seconds < 5, "the bound of 1 s is measured by the bench; this one says that nobody waited for a lease"


async def test_a_sleeping_run_waits_and_goes_on_by_itself(stack: Stack, receiver: Receiver) -> None:
    pipeline = [step("nap", "sleep", seconds=1.5), step("call", "http.request", url=receiver.url)]
    run_id = await begun(stack, pipeline)
    run = await reached(stack, run_id, "waiting")
    assert [each["status"] for each in run["steps"]] == ["waiting"]
    run = await reached(stack, run_id, "succeeded")
    assert (run["attempt"], receiver.keys) == (1, [f"{run_id}:call"])


async def test_a_receiver_that_accepts_answers_later_with_its_token(stack: Stack, receiver: Receiver) -> None:
    answering(receiver, 202)
    pipeline = [
        step("work", "http.request", url=receiver.url, await_callback=True),
        step("told", "transform", value="${steps.work.output.result}"),
    ]
    run_id = await begun(stack, pipeline)
    await reached(stack, run_id, "waiting")
    token = receiver.headers[0]["PAO-Callback-Token"]
    for path, body in (
        ("heartbeat", {}),
        ("log", {"message": "half way"}),
        ("complete", {"output": {"result": 42}}),
        ("complete", {"output": {"result": 42}}),
    ):
        status, answer = await stack.call("POST", f"/runs/{run_id}/{path}", body, token=token)
        assert status == 200, (path, answer)
    run = await reached(stack, run_id, "succeeded")
    assert (run["output"], len(receiver.keys)) == (42, 1)
    status, page = await stack.call("GET", f"/runs/{run_id}/logs")
    assert [line["message"] for line in page["items"]] == ["half way"]


async def test_an_approval_decides_whether_a_run_goes_on(stack: Stack, receiver: Receiver) -> None:
    pipeline = [step("ask", "approval.request", prompt="Send it?"), step("send", "http.request", url=receiver.url)]
    for decision, status in (("approve", "succeeded"), ("reject", "failed")):
        run_id = await begun(stack, pipeline)
        await reached(stack, run_id, "waiting")
        _, page = await stack.call("GET", "/approvals?status=pending")
        (approval,) = [each for each in page["items"] if each["run_id"] == run_id]
        answer, _ = await stack.call("POST", f"/approvals/{approval['id']}/{decision}", {"note": "as agreed"})
        assert answer == 200
        await reached(stack, run_id, status)
    assert len(receiver.keys) == 1


async def test_an_agent_that_cannot_be_called_fetches_and_acknowledges(stack: Stack) -> None:
    pipeline = [step("give", "agent.deliver", body={"do": "this"}, await_ack=True)]
    run_id = await begun(stack, pipeline)
    _, page = await stack.call("GET", "/inbox?wait=10")
    (message,) = page["items"]
    assert (message["run_id"], message["body"]) == (run_id, {"do": "this"})
    status, _ = await stack.call(
        "POST", f"/inbox/{message['id']}/ack", {"fence": message["fence"], "output": {"done": True}}
    )
    assert status == 200
    assert (await reached(stack, run_id, "succeeded"))["output"] == {"done": True}


async def test_what_overlaps_is_skipped_with_a_reason(stack: Stack, silent: Receiver) -> None:
    pipeline = [step("call", "http.request", url=silent.url)]
    task = await stack.schedule("cron", FAR, {"pipeline": pipeline})
    first = await again(stack, task["id"])
    await wait_until(lambda: silent.keys)
    second = await reached(stack, await again(stack, task["id"]), "skipped")
    assert (second["success"], second["skip_reason"]) == (None, "overlap")
    silent.may_answer.set()
    await reached(stack, first, "succeeded")
    assert silent.keys == [first]


async def test_what_cannot_begin_in_time_is_expired(stack: Stack, silent: Receiver) -> None:
    """It stands back for another run of its key for longer than it may."""
    fields = {"concurrency_key": "one-at-a-time", "expires_after_seconds": 1, "overlap_policy": "allow_all"}
    task = await stack.schedule("cron", FAR, {"pipeline": [step("call", "http.request", url=silent.url)]}, **fields)
    first = await again(stack, task["id"])
    await wait_until(lambda: silent.keys)
    second = await again(stack, task["id"])
    run = await reached(stack, second, "expired")
    assert (run["success"], run["started_at"]) == (None, None)
    silent.may_answer.set()
    await reached(stack, first, "succeeded")


async def test_an_event_that_a_step_publishes_runs_who_listens(stack: Stack, receiver: Receiver) -> None:
    topic = f"order.placed-{time.monotonic_ns()}"
    listener = await stack.schedule(
        "event", topic, {"pipeline": [step("call", "http.request", url=receiver.url, json="${event.payload}")]}
    )
    run_id = await begun(stack, [step("tell", "event.publish", topic=topic, payload={"n": 7})])
    run = await reached(stack, run_id, "succeeded")
    assert run["output"]["listeners"] == 1

    async def has_run() -> bool:
        return [each["status"] for each in await stack.runs(listener["id"])] == ["succeeded"]

    await wait_until(has_run)


async def test_what_was_due_before_a_pause_is_canceled_with_its_reason(stack: Stack, silent: Receiver) -> None:
    """It stood back behind a run in progress when its task was stopped."""
    pipeline = [step("call", "http.request", url=silent.url)]
    task = await stack.schedule("cron", FAR, {"pipeline": pipeline}, overlap_policy="buffer_one")
    first = await again(stack, task["id"])
    await wait_until(lambda: silent.keys)
    second = await again(stack, task["id"])
    await stack.call("POST", f"/tasks/{task['id']}/pause", {"note": "enough"})
    run = await reached(stack, second, "canceled")
    assert run["skip_reason"] == "task_paused"
    silent.may_answer.set()
    await reached(stack, first, "succeeded")


async def test_a_secret_is_used_and_never_shown(stack: Stack, receiver: Receiver) -> None:
    canary = f"canary-{time.monotonic_ns()}-of-this-test"

    async def echo(request: web.Request) -> web.StreamResponse:
        return web.json_response({"you_sent": request.headers["Authorization"]}, status=404)

    receiver.answer = echo
    status, _ = await stack.call("PUT", "/secrets/api_key", {"value": canary})
    assert status in (200, 201)
    headers = {"Authorization": "Bearer ${secrets.api_key}"}
    run_id = await begun(stack, [step("call", "http.request", url=receiver.url, headers=headers)])
    run = await reached(stack, run_id, "failed")
    assert receiver.headers[0]["Authorization"] == f"Bearer {canary}"
    assert run["output"]["json"] == {"you_sent": "Bearer [secret]"}
    assert canary not in str(run)
    assert not any(canary in stack.log(name) for name in ("gateway", "executor", "scheduler"))


async def test_an_executor_killed_between_two_steps_does_not_repeat_the_first(stack: Stack, receiver: Receiver) -> None:
    pipeline = [step("first", "http.request", url=receiver.url), step("second", "http.request", url=receiver.url)]

    async def hang_at_second(request: web.Request) -> web.StreamResponse:
        if request.headers["Idempotency-Key"].endswith(":second"):
            receiver.may_answer.clear()
            await receiver.may_answer.wait()
        return web.json_response({})

    receiver.answer = hang_at_second
    run_id = await begun(stack, pipeline)
    await wait_until(lambda: len(receiver.keys) == 2)
    stack.kill("executor")
    answering(receiver, 200)
    receiver.may_answer.set()
    run = await reached(stack, run_id, "succeeded")
    assert run["attempt"] == 2
    assert receiver.deliveries() == {f"{run_id}:first": 1, f"{run_id}:second": 2}


async def test_a_task_is_kept_from_beginning_before_its_time_by_no_limit(stack: Stack, receiver: Receiver) -> None:
    """A rate delays and drops nothing."""
    pipeline = [step("call", "http.request", url=receiver.url)]
    limit = {"limit": 1, "period_seconds": 1}
    task = await stack.schedule("cron", FAR, {"pipeline": pipeline}, rate_limit=limit, overlap_policy="allow_all")
    runs = [await again(stack, task["id"]) for _ in range(3)]
    for run_id in runs:
        await reached(stack, run_id, "succeeded")
    arrivals = sorted(receiver.arrivals)
    assert arrivals[2] - arrivals[0] > timedelta(seconds=1.5).total_seconds()
