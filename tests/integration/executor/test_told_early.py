"""Targets that answer before the executor has written that their step waits."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from services.executor.settings import ExecutorSettings
from shared.database.statements import load_statements
from tests.integration.executor.conftest import run_status, running
from tests.support.receiver import Receiver, receiving
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

SQL = load_statements("services.gateway.runs", "sql/steps.sql")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


async def tell_failure(pool: asyncpg.Pool, run_id: UUID, *, retryable: bool) -> None:
    """As the gateway does for `/fail`."""
    error = {"class": "tool", "message": "out of paper", "retryable": retryable}
    async with pool.acquire() as connection, connection.transaction():
        await connection.fetch(SQL["lock_run_work"].sql, run_id)
        assert await connection.fetch(SQL["settle_step"].sql, run_id, "print", None, error, ["callback"], True)


async def due(pool: asyncpg.Pool, receiver: Receiver, *others: dict[str, Any], **task: Any) -> UUID:  # noqa: ANN401 (columns of every type)
    call = {"id": "print", "uses": "http.request", "with": {"url": receiver.url, "await_callback": True}}
    task_id = await make_task(pool, None, payload={"pipeline": [call, *others]}, **task)
    return await make_due_work(pool, task_id, datetime.now(UTC))


async def wait_for(pool: asyncpg.Pool, run_id: UUID, *statuses: str) -> asyncpg.Record:
    async def has_come() -> bool:
        return await run_status(pool, run_id) in statuses

    await wait_until(has_come)
    (run,) = await pool.fetch("SELECT * FROM task_run WHERE id = $1", run_id)
    return run


OTHERS: list[list[dict[str, Any]]] = [[], [{"id": "after", "uses": "transform", "with": {"value": 1}}]]


@pytest.mark.parametrize("others", OTHERS)
async def test_a_failure_that_is_told_before_the_run_is_parked_fails_it(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver, others: list[dict[str, Any]]
) -> None:
    run_id = await due(pool, receiver, *others)

    async def fail_at_once(_request: web.Request) -> web.StreamResponse:
        await tell_failure(pool, run_id, retryable=False)
        return web.Response(status=202)

    receiver.answer = fail_at_once
    async with running(settings):
        run = await wait_for(pool, run_id, "failed", "dead", "succeeded")
    assert (run["status"], run["error"]["class"], run["error"]["message"]) == ("failed", "tool", "out of paper")
    assert len(receiver.keys) == 1


async def test_one_that_may_be_tried_again_is_tried_after_its_backoff(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    run_id, is_first = await due(pool, receiver, backoff_strategy="fixed"), asyncio.Event()

    async def fail_first(_request: web.Request) -> web.StreamResponse:
        if is_first.is_set():
            return web.json_response({"ok": True})
        is_first.set()
        await tell_failure(pool, run_id, retryable=True)
        return web.Response(status=202)

    receiver.answer = fail_first
    async with running(settings):
        run = await wait_for(pool, run_id, "retrying")
        assert run["error"]["message"] == "out of paper"
        assert run["next_attempt_at"] > datetime.now(UTC)
        assert len(receiver.keys) == 1
        await pool.execute("UPDATE due_work SET run_at = now() WHERE id = $1", run_id)
        run = await wait_for(pool, run_id, "succeeded", "failed", "dead")
    assert (run["status"], len(receiver.keys)) == ("succeeded", 2)
