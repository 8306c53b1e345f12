"""Housekeeping, as arq's own cron jobs: each may run twice without harm."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import asyncpg
import structlog
from arq import cron
from arq.cron import CronJob
from arq.typing import WorkerCoroutine

from shared.database.statements import load_statements

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/chores.sql")
INBOX_SQL = load_statements("services.executor", "sql/inbox.sql")
APPROVAL_SQL = load_statements("services.executor", "sql/approvals.sql")
INBOX_DAYS = 7
# As long as anybody may ask who decided what; the audit log keeps it longer.
APPROVAL_DAYS = 90
POOL = "pool"


async def make_partitions(context: dict[Any, Any]) -> int:
    """Partitions for the weeks and months ahead; returns how many were made."""
    pool: asyncpg.Pool = context[POOL]
    made: int = await pool.fetchval(SQL["make_partitions"].sql)
    if made:
        logger.info("partitions_made", count=made)
    return made


async def prune_idempotency_keys(context: dict[Any, Any]) -> None:
    pool: asyncpg.Pool = context[POOL]
    await pool.execute(SQL["prune_idempotency_keys"].sql)


async def prune_rate_windows(context: dict[Any, Any]) -> None:
    pool: asyncpg.Pool = context[POOL]
    await pool.execute(SQL["prune_rate_windows"].sql)


async def prune_inbox(context: dict[Any, Any]) -> None:
    """What was settled, or has expired, so many days ago."""
    pool: asyncpg.Pool = context[POOL]
    await pool.execute(INBOX_SQL["prune_inbox"].sql, INBOX_DAYS)


async def prune_approvals(context: dict[Any, Any]) -> None:
    """What was decided, or has expired, so many days ago."""
    pool: asyncpg.Pool = context[POOL]
    await pool.execute(APPROVAL_SQL["prune_approvals"].sql, APPROVAL_DAYS)


def chores() -> list[CronJob]:
    return [
        cron(_as_arq(make_partitions), hour={0, 6, 12, 18}, minute=17, run_at_startup=True, keep_result=0),
        cron(_as_arq(prune_idempotency_keys), minute={7, 22, 37, 52}, keep_result=0),
        cron(_as_arq(prune_rate_windows), minute={3, 33}, keep_result=0),
        cron(_as_arq(prune_inbox), minute={12, 27, 42, 57}, keep_result=0),
        cron(_as_arq(prune_approvals), minute={3, 33}, keep_result=0),
    ]


def _as_arq(chore: Callable[[dict[Any, Any]], Awaitable[Any]]) -> WorkerCoroutine:
    # arq's protocol asks for *args and **kwargs, which a cron job is never given.
    return cast("WorkerCoroutine", chore)
