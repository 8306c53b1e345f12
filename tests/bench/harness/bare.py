"""The physical limit of a gateway on this machine: Litestar with one route that inserts a row and one that reads it."""

import sys
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import uvicorn
from litestar import Litestar, get, post
from litestar.datastructures import State

TABLE = "CREATE TABLE IF NOT EXISTS bare (id uuid PRIMARY KEY DEFAULT uuidv7(), title text, body jsonb)"
INSERT = "INSERT INTO bare (title, body) VALUES ($1, $2) RETURNING id"
SELECT = "SELECT id, title, body FROM bare WHERE id = $1"


class Wanted(msgspec.Struct):
    title: str
    payload: dict[str, Any]


class Row(msgspec.Struct):
    id: UUID
    title: str
    payload: msgspec.Raw


@post("/bare")
async def insert(data: Wanted, state: State) -> Row:
    body = msgspec.json.encode(data.payload)
    made = await state.pool.fetchval(INSERT, data.title, body.decode())
    return Row(made, data.title, msgspec.Raw(body))


@get("/bare/{row_id:uuid}")
async def select(row_id: UUID, state: State) -> Row:
    row = await state.pool.fetchrow(SELECT, row_id)
    return Row(row["id"], row["title"], msgspec.Raw(row["body"].encode()))


def main(database_url: str, port: int) -> None:
    @asynccontextmanager
    async def pooled(app: Litestar) -> Any:  # noqa: ANN401 (the framework's own kind of generator)
        async with asyncpg.create_pool(database_url, min_size=1, max_size=15) as pool:
            await pool.execute(TABLE)
            app.state.pool = pool
            yield

    app = Litestar([insert, select], lifespan=[pooled], openapi_config=None)
    uvicorn.run(app, port=port, http="httptools", loop="uvloop", access_log=False, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
