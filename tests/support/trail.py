"""Entries of the audit trail as tests write, seal and forge them."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from services.scheduler.sealer import Sealer

INSERT = """INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
            VALUES ('a', 'task.created', 'task', $1, $2) RETURNING seq"""


async def write(pool: asyncpg.Pool, *subjects: str) -> list[int]:
    """Each in a transaction of its own; their numbers."""
    return [await pool.fetchval(INSERT, subject, {"title": f"Task {subject}"}) for subject in subjects]


async def write_and_seal(pool: asyncpg.Pool, *batches: Sequence[str]) -> list[list[int]]:
    sealed = []
    for batch in batches:
        sealed.append(await write(pool, *batch))
        await seal(pool)
    return sealed


async def seal(pool: asyncpg.Pool, batch: int = 10_000) -> None:
    sealer = Sealer(pool, batch)
    while (await sealer.run_once()).is_full:
        pass


async def tamper(pool: asyncpg.Pool, statement: str, *arguments: Any) -> None:  # noqa: ANN401 (what SQL takes)
    """As somebody who owns the database, and turns its triggers off."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        assert await connection.execute(statement, *arguments) not in ("UPDATE 0", "DELETE 0")
