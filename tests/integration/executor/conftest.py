import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import asyncpg
import pytest

from services.executor.app import Executor
from services.executor.settings import ExecutorSettings
from services.executor.tools.base import StepContext

TOKEN_KEY = "0123456789-for-tests-only-abcdefghijkl"
Call = Callable[[Mapping[str, object], StepContext], Any]


@pytest.fixture
def settings(database_url: str, redis_url: str) -> ExecutorSettings:
    return ExecutorSettings(
        database_url=database_url,
        redis_url=redis_url,
        token_key=TOKEN_KEY,
        outbound_allow="127.0.0.0/8",
        job_completion_wait_seconds=1,
    )


@contextlib.asynccontextmanager
async def running(settings: ExecutorSettings, instance: str = "executor-1") -> AsyncIterator[asyncio.Task[None]]:
    """A whole executor in this process; leaving stops it as SIGTERM does, without the wait for its jobs."""
    executor = asyncio.create_task(Executor(settings, instance).run())
    try:
        yield executor
    finally:
        # Again until it ends: on Python 3.11 `wait_for`, which connecting uses, can swallow a cancellation.
        while not executor.done():
            executor.cancel()
            await asyncio.wait({executor}, timeout=5)
        with contextlib.suppress(asyncio.CancelledError):
            await executor


async def run_status(pool: asyncpg.Pool, run_id: object) -> str | None:
    status: str | None = await pool.fetchval("SELECT status FROM task_run WHERE id = $1", run_id)
    return status
