"""Whole pipelines: values that flow from step to step, steps that are skipped, forgiven, repeated and not repeated."""

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from aiohttp import web

from services.executor.settings import ExecutorSettings
from shared.secrets.ring import Place
from shared.secrets.settings import parse_ring
from tests.integration.executor.conftest import run_status, running
from tests.support.receiver import Receiver, receiving
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

Step = dict[str, Any]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


async def due(pool: asyncpg.Pool, pipeline: list[Any], *, params: dict[str, Any] | None = None, **task: Any) -> UUID:  # noqa: ANN401 (columns of every type)
    payload = {"pipeline": pipeline, "params": params or {}}
    task_id = await make_task(pool, None, payload=payload, **task)
    return await make_due_work(pool, task_id, datetime.now(UTC))


async def ended(pool: asyncpg.Pool, run_id: UUID) -> asyncpg.Record:
    async def is_final() -> bool:
        return await pool.fetchval("SELECT finished_at IS NOT NULL FROM task_run WHERE id = $1", run_id) or False

    await wait_until(is_final)
    (row,) = await pool.fetch("SELECT * FROM task_run WHERE id = $1", run_id)
    return row


async def outcome(pool: asyncpg.Pool, settings: ExecutorSettings, run_id: UUID) -> asyncpg.Record:
    async with running(settings):
        return await ended(pool, run_id)


async def steps_of(pool: asyncpg.Pool, run_id: UUID) -> dict[str, str]:
    rows = await pool.fetch("SELECT step_id, status FROM run_step WHERE run_id = $1", run_id)
    return {row["step_id"]: row["status"] for row in rows}


async def make_retry_due(pool: asyncpg.Pool, run_id: UUID) -> None:
    await wait_until(lambda: _is(pool, run_id, "retrying"))
    await pool.execute("UPDATE due_work SET run_at = now() WHERE id = $1", run_id)


async def _is(pool: asyncpg.Pool, run_id: UUID, status: str) -> bool:
    return await run_status(pool, run_id) == status


def transform(step_id: str, value: object, **more: object) -> Step:
    return {"id": step_id, "uses": "transform", "with": {"value": value}, **more}


def call(step_id: str, url: str, body: object = None, **more: object) -> Step:
    return {"id": step_id, "uses": "http.request", "with": {"url": url, "json": body}, **more}


async def test_values_keep_their_types_from_step_to_step(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    pipeline = [
        transform("double", {"n": "${params.n * 2}", "text": "n is ${params.n}"}),
        transform("sum", "${steps.double.output.n + 1}", save_as="total"),
        transform("told", {"total": "${steps.total}", "text": "${steps.double.output.text}", "run": "${run.source}"}),
    ]
    run_id = await due(pool, pipeline, params={"n": 20})
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["output"]) == ("succeeded", {"total": 41, "text": "n is 20", "run": "schedule"})
    assert await steps_of(pool, run_id) == {"double": "succeeded", "sum": "succeeded", "told": "succeeded"}


async def test_a_single_step_writes_no_more_than_its_run(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id = await due(pool, [call("only", receiver.url)])
    run = await outcome(pool, settings, run_id)

    assert (run["status"], receiver.keys) == ("succeeded", [str(run_id)])
    assert await steps_of(pool, run_id) == {}


async def test_a_condition_that_is_false_skips_its_step_only(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    pipeline = [
        call("never", receiver.url, **{"if": "params.n > 100"}),
        transform("after", "${steps.never.status}"),
    ]
    run_id = await due(pool, pipeline, params={"n": 1})
    run = await outcome(pool, settings, run_id)

    assert (run["output"], receiver.keys) == ("skipped", [])
    assert (await steps_of(pool, run_id))["never"] == "skipped"


async def test_a_missing_name_fails_the_run_and_says_which(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    run_id = await due(pool, [transform("bad", "${params.nothing}")])
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["error"]["class"], run["error"]["step"]) == ("failed", "template", "bad")
    assert "nothing" in run["error"]["message"]


async def test_each_step_has_a_key_of_its_own(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id = await due(pool, [call("first", receiver.url), call("second", receiver.url)])
    await outcome(pool, settings, run_id)

    assert receiver.keys == [f"{run_id}:first", f"{run_id}:second"]


async def test_a_retry_goes_on_at_the_step_that_failed(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    async def fail_second_once(request: web.Request) -> web.StreamResponse:
        is_bad = request.headers["Idempotency-Key"].endswith(":second") and len(receiver.keys) == 2
        return web.json_response({"n": len(receiver.keys)}, status=503 if is_bad else 200)

    receiver.answer = fail_second_once
    pipeline = [
        call("first", receiver.url),
        call("second", receiver.url),
        transform("n", "${steps.first.output.json.n}"),
    ]
    run_id = await due(pool, pipeline)
    async with running(settings):
        await make_retry_due(pool, run_id)
        run = await ended(pool, run_id)

    assert (run["status"], run["attempt"], run["output"]) == ("succeeded", 2, 1)
    assert receiver.keys == [f"{run_id}:first", f"{run_id}:second", f"{run_id}:second"]


async def test_a_forgiven_failure_is_a_value_for_the_steps_after_it(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.answer = lambda _request: _answer(404)
    pipeline = [
        call("may_fail", receiver.url, on_error="continue"),
        transform("after", {"status": "${steps.may_fail.status}", "class": "${steps.may_fail.error['class']}"}),
    ]
    run_id = await due(pool, pipeline)
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["output"]) == ("succeeded", {"status": "failed", "class": "http_4xx"})


async def test_a_step_may_have_a_retry_policy_of_its_own(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.answer = lambda _request: _answer(500)
    run_id = await due(pool, [call("once", receiver.url, retry={"max_retries": 0})], max_retries=5)
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["attempt"], len(receiver.keys)) == ("dead", 1, 1)


async def test_foreach_runs_once_for_each_item_and_gives_a_list(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    pipeline = [
        call("each", receiver.url, {"item": "${item}"}, foreach="${params.items}", concurrency=2),
        transform("count", "${size(steps.each.output)}"),
    ]
    run_id = await due(pool, pipeline, params={"items": ["a", "b", "c"]})
    run = await outcome(pool, settings, run_id)

    assert run["output"] == 3
    assert sorted(receiver.keys) == [f"{run_id}:each[{index}]" for index in range(3)]


async def test_foreach_keeps_to_its_concurrency(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    items = list(range(6))
    run_id = await due(pool, [call("each", receiver.url, foreach=items, concurrency=3)])
    async with running(settings):
        await wait_until(lambda: len(receiver.keys) == 3)
        assert len(receiver.keys) == 3
        receiver.may_answer.set()
        run = await ended(pool, run_id)

    assert (run["status"], len(receiver.keys), len(run["output"])) == ("succeeded", 6, 6)


async def test_items_that_succeeded_are_not_repeated_when_one_failed(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    async def fail_item_1_once(request: web.Request) -> web.StreamResponse:
        is_first = receiver.deliveries()[request.headers["Idempotency-Key"]] == 1
        is_bad = is_first and request.headers["Idempotency-Key"].endswith("[1]")
        return web.json_response({}, status=500 if is_bad else 200)

    receiver.answer = fail_item_1_once
    run_id = await due(pool, [call("each", receiver.url, foreach=[1, 2, 3])])
    async with running(settings):
        await make_retry_due(pool, run_id)
        run = await ended(pool, run_id)

    assert run["status"] == "succeeded"
    assert receiver.deliveries() == {f"{run_id}:each[0]": 1, f"{run_id}:each[1]": 2, f"{run_id}:each[2]": 1}


async def test_more_than_a_hundred_items_are_refused(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    pipeline = [transform("each", "${item}", foreach="${params.items}")]
    run_id = await due(pool, pipeline, params={"items": list(range(101))})
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["error"]["class"]) == ("failed", "template")


async def test_steps_of_a_group_run_at_the_same_time(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    group = {"parallel": [call("left", receiver.url), call("right", receiver.url)]}
    run_id = await due(pool, [group])
    async with running(settings):
        await wait_until(lambda: len(receiver.keys) == 2)
        receiver.may_answer.set()
        run = await ended(pool, run_id)

    assert set(run["output"]) == {"left", "right"}


async def test_the_other_step_of_a_group_is_not_repeated_with_the_failed_one(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    async def fail_left_once(request: web.Request) -> web.StreamResponse:
        key = request.headers["Idempotency-Key"]
        is_bad = key.endswith(":left") and receiver.deliveries()[key] == 1
        return web.json_response({}, status=503 if is_bad else 200)

    receiver.answer = fail_left_once
    run_id = await due(pool, [{"parallel": [call("left", receiver.url), call("right", receiver.url)]}])
    async with running(settings):
        await make_retry_due(pool, run_id)
        await ended(pool, run_id)

    assert receiver.deliveries() == {f"{run_id}:left": 2, f"{run_id}:right": 1}


async def test_a_sleeping_run_waits_in_the_queue_and_goes_on(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    pipeline = [
        call("before", receiver.url),
        {"id": "nap", "uses": "sleep", "with": {"seconds": 3600}},
        call("after", receiver.url),
    ]
    run_id = await due(pool, pipeline)
    async with running(settings):
        await wait_until(lambda: _is(pool, run_id, "waiting"))
        (row,) = await pool.fetch("SELECT run_at, locked_until, attempt FROM due_work WHERE id = $1", run_id)
        assert row["locked_until"] is None
        assert row["run_at"] > datetime.now(UTC) + timedelta(minutes=59)
        await pool.execute(
            "UPDATE run_step SET deadline_at = now() - interval '1 s' WHERE run_id = $1 AND step_id = 'nap'", run_id
        )
        await pool.execute("UPDATE due_work SET run_at = now() WHERE id = $1", run_id)
        run = await ended(pool, run_id)

    assert (run["status"], run["attempt"]) == ("succeeded", 1)
    assert receiver.keys == [f"{run_id}:before", f"{run_id}:after"]


async def test_a_short_sleep_ends_by_itself(pool: asyncpg.Pool, settings: ExecutorSettings) -> None:
    pipeline = [{"id": "nap", "uses": "sleep", "with": {"seconds": 0.2}}, transform("after", "${steps.nap.output}")]
    run_id = await due(pool, pipeline)
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["output"]) == ("succeeded", {"slept_seconds": 0.2})


async def test_the_runs_own_limit_ends_the_step_that_hangs(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    run_id = await due(pool, [transform("one", 1), call("hangs", receiver.url)], timeout_seconds=1, max_retries=0)
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["error"]["class"], run["error"]["step"]) == ("dead", "timeout", "hangs")
    assert await steps_of(pool, run_id) == {"one": "succeeded", "hangs": "failed"}
    receiver.may_answer.set()


async def test_a_step_that_may_not_be_sent_twice_fails_its_run_when_its_end_is_unknown(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id = await due(pool, [call("pay", receiver.url, on_unknown="fail")])
    await _as_if_lost(pool, run_id, "pay")
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["error"]["class"], receiver.keys) == ("failed", "lease_lost", [])


async def test_a_step_that_was_being_sent_is_sent_again_under_its_key(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id = await due(pool, [call("first", receiver.url), call("second", receiver.url)])
    await _as_if_lost(pool, run_id, "first")
    run = await outcome(pool, settings, run_id)

    assert run["status"] == "succeeded"
    assert receiver.keys == [f"{run_id}:first", f"{run_id}:second"]


async def test_what_follows_a_failure_is_told_once_which_run_failed(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    bodies: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        is_hook = request.headers.get("X-Hook") == "yes"
        if is_hook:
            bodies.append(await request.json())
        return web.json_response({}, status=200 if is_hook else 404)

    receiver.answer = answer
    hook = {"webhook": {"url": receiver.url, "headers": {"X-Hook": "yes"}}}
    run_id = await due(
        pool, [call("call", receiver.url)], on_failure=hook, on_success={"webhook": {"url": "http://127.0.0.1:9/"}}
    )
    async with running(settings):
        await wait_until(lambda: len(bodies) == 1)
        await wait_until(lambda: _no_work_waits(pool))

    assert bodies[0]["run"]["id"] == str(run_id)
    assert (bodies[0]["run"]["status"], bodies[0]["run"]["error"]["class"]) == ("failed", "http_4xx")
    rows = await pool.fetch("SELECT source, status FROM task_run ORDER BY source")
    assert [tuple(row) for row in rows] == [("hook", "succeeded"), ("schedule", "failed")]


async def test_a_task_that_fails_too_often_in_a_row_is_paused_with_a_note(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.answer = lambda _request: _answer(404)
    task_id = await make_task(
        pool, datetime.now(UTC) + timedelta(hours=1), payload=receiver.call(), pause_after_failures=3
    )
    async with running(settings):
        for _ in range(3):
            await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: _is_paused(pool, task_id))

    (row,) = await pool.fetch("SELECT status_note, schedule_rev FROM task WHERE id = $1", task_id)
    assert tuple(row) == ("Paused after 3 failures in a row.", 2)
    assert await pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", task_id) == 0
    assert await pool.fetchval("SELECT count(*) FROM audit_log WHERE action = 'task.paused'") == 1


async def test_a_success_in_between_keeps_a_task_active(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    statuses = iter([404, 200, 404])
    receiver.answer = lambda _request: _answer(next(statuses))
    task_id = await make_task(pool, None, payload=receiver.call(), pause_after_failures=2)
    async with running(settings):
        for _ in range(3):
            run_id = await make_due_work(pool, task_id, datetime.now(UTC))
            await ended(pool, run_id)

    assert await pool.fetchval("SELECT status FROM task WHERE id = $1", task_id) == "active"


async def _as_if_lost(pool: asyncpg.Pool, run_id: UUID, step_id: str) -> None:
    """As an executor leaves it that is killed in the middle of a step, and whose lease has run out."""
    await pool.execute(
        "UPDATE due_work SET fence = 1, attempt = 1, unended_starts = 1, locked_by = 'gone', locked_until = now() "
        "WHERE id = $1",
        run_id,
    )
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, attempt, source, started_at) "
        "SELECT id, task_id, agent_id, scheduled_for, 'running', 1, source, now() FROM due_work WHERE id = $1",
        run_id,
    )
    await pool.execute(
        "INSERT INTO run_step (run_id, step_id, status, attempt, started_at) VALUES ($1, $2, 'running', 1, now())",
        run_id,
        step_id,
    )


async def _no_work_waits(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = 0 FROM due_work"))


async def _is_paused(pool: asyncpg.Pool, task_id: UUID) -> bool:
    return bool(await pool.fetchval("SELECT status = 'paused' FROM task WHERE id = $1", task_id))


async def _answer(status: int) -> web.StreamResponse:
    await asyncio.sleep(0)
    return web.json_response({}, status=status)


async def test_a_step_with_more_retries_than_its_task_is_tried_as_often_as_it_says(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.answer = lambda _request: _answer(500)
    run_id = await due(pool, [call("call", receiver.url, retry={"max_retries": 1})], max_retries=0)
    async with running(settings):
        await make_retry_due(pool, run_id)
        run = await ended(pool, run_id)

    assert (run["status"], run["attempt"], len(receiver.keys)) == ("dead", 2, 2)


async def test_a_step_that_waited_is_ended_with_the_run_that_failed_beside_it(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.answer = lambda _request: _answer(404)
    group = {
        "parallel": [{"id": "ask", "uses": "approval.request", "with": {"prompt": "?"}}, call("bad", receiver.url)]
    }
    run_id = await due(pool, [group])
    run = await outcome(pool, settings, run_id)

    assert run["status"] == "failed"
    assert await steps_of(pool, run_id) == {"ask": "failed", "bad": "failed"}


async def test_items_that_were_forgiven_tell_their_errors(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    statuses = iter([404, 200])
    receiver.answer = lambda _request: _answer(next(statuses))
    pipeline = [
        call("each", receiver.url, foreach=[1, 2], concurrency=1, on_error="continue"),
        transform("told", "${steps.each.error.map(e, e == null)}"),
    ]
    run_id = await due(pool, pipeline)
    run = await outcome(pool, settings, run_id)

    assert (run["status"], run["output"]) == ("succeeded", [False, True])


async def test_a_secret_is_not_handed_on_as_its_stand_in(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    key = base64.b64encode(os.urandom(32)).decode()
    ring = parse_ring(key, "")
    assert ring is not None
    pipeline = [
        transform("kept", "${secrets.token}"),
        call("sent", receiver.url, {"token": "${steps.kept.output}"}),
    ]
    run_id = await due(pool, pipeline)
    agent_id = await pool.fetchval("SELECT agent_id FROM due_work")
    sealed = ring.seal(Place(agent_id, "token", 1), "a-value-of-some-length")
    await pool.execute(
        "INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) VALUES ($1, 'token', 1, $2, $3, $4)",
        agent_id,
        sealed.key_id,
        sealed.nonce,
        sealed.ciphertext,
    )
    run = await outcome(pool, msgspec.structs.replace(settings, secrets_key=key), run_id)

    assert (run["status"], run["error"]["class"], receiver.keys) == ("failed", "template", [])
