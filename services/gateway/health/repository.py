"""What the stores say about the system's health."""

from collections.abc import Sequence

import asyncpg
import msgspec
from redis.asyncio import Redis

from services.gateway.health.wire import Instance
from shared.database.statements import load_statements
from shared.streams.client import REDIS_ERRORS

SQL = load_statements("services.gateway.health", "sql/health.sql")


class Look(msgspec.Struct, frozen=True):
    """`revision` None: the database was never migrated."""

    revision: str | None
    instances: Sequence[Instance] = ()


async def look(pool: asyncpg.Pool) -> Look:
    try:
        rows = await pool.fetch(SQL["look"].sql)
    except asyncpg.UndefinedTableError:
        return Look(None)
    instances = [Instance(*[*row.values()][1:]) for row in rows if row["service"] is not None]
    return Look(rows[0]["revision"] if rows else None, instances)


async def redis_answers(redis: Redis) -> bool:
    try:
        return bool(await redis.ping())
    except REDIS_ERRORS:
        return False
