"""What the stores say about the system's health."""

import asyncpg
from redis.asyncio import Redis

from services.gateway.health.wire import Backlog, Instance, Look
from shared.database.statements import load_statements
from shared.runtime.heartbeat import SILENT_AFTER_SECONDS
from shared.streams.client import REDIS_ERRORS

SQL = load_statements("services.gateway.health", "sql/health.sql")


async def look(pool: asyncpg.Pool) -> Look:
    try:
        rows = await pool.fetch(SQL["look"].sql)
        backlog = await pool.fetchrow(SQL["look_at_backlog"].sql, SILENT_AFTER_SECONDS)
    except asyncpg.UndefinedTableError:
        return Look(None)
    instances = [Instance(*[*row.values()][1:]) for row in rows if row["service"] is not None]
    return Look(rows[0]["revision"] if rows else None, instances, Backlog(*(backlog or ())))


async def redis_answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except REDIS_ERRORS:
        return False
