"""What becomes of a connection whose transaction was broken off."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import Database

INSERT = "INSERT INTO agent (id, name, name_key, scopes) VALUES (uuidv7(), '{0}', '{0}', '{{}}')"


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Of one connection, so that whatever is left behind is met by the next."""
    opened = Database(database_url, application_name="test", size=1, overflow=0)
    yield opened
    await opened.close()


async def _add_agent(database: Database, name: str) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text(INSERT.format(name)))

    await database.write(change)


async def test_a_write_that_is_canceled_while_it_begins_spoils_no_later_one(
    database: Database, pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_beginning, never = asyncio.Event(), asyncio.Event()
    execute = asyncpg.Connection.execute

    async def hang(connection: asyncpg.Connection, query: str, *arguments: object) -> str:
        if query.startswith("BEGIN"):
            is_beginning.set()
            await never.wait()
        return await execute(connection, query, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "execute", hang)
        broken_off = asyncio.create_task(_add_agent(database, "first"))
        await is_beginning.wait()
        broken_off.cancel()
        await asyncio.wait([broken_off])
    await _add_agent(database, "second")
    assert await pool.fetchval("SELECT array_agg(name) FROM agent") == ["second"]


async def test_a_write_that_is_canceled_in_the_middle_leaves_nothing(database: Database, pool: asyncpg.Pool) -> None:
    is_inserted, never = asyncio.Event(), asyncio.Event()

    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text(INSERT.format("first")))
        is_inserted.set()
        await never.wait()

    broken_off = asyncio.create_task(database.write(change))
    await is_inserted.wait()
    broken_off.cancel()
    await asyncio.wait([broken_off])
    await _add_agent(database, "second")
    assert await pool.fetchval("SELECT array_agg(name) FROM agent") == ["second"]


async def test_a_write_that_fails_leaves_nothing(database: Database, pool: asyncpg.Pool) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text(INSERT.format("first")))
        raise LookupError

    with pytest.raises(LookupError):
        await database.write(change)
    await _add_agent(database, "second")
    assert await pool.fetchval("SELECT array_agg(name) FROM agent") == ["second"]
