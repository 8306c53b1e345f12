"""What has changed, in the database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ARRAY, BigInteger, Label, Uuid, any_, bindparam, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.live.position import Position
from services.gateway.runs.repository import listed_columns, shown
from services.gateway.runs.wire import RunView
from shared.database.statements import load_statements
from shared.models import TaskRun
from shared.vocabulary.states import RunStatus

SQL = load_statements("services.gateway.live", "sql/runs.sql")
# The transaction that wrote a row: another one whenever the run was written.
VERSION: Label[int] = literal_column("task_run.xmin::text::bigint", BigInteger()).label("version")
READ_RUNS = select(*listed_columns(TaskRun), VERSION).where(
    TaskRun.id == any_(bindparam("run_ids", type_=ARRAY(Uuid())))
)


class Found(msgspec.Struct, frozen=True):
    """A run and its version."""

    id: UUID
    version: int


class Seen(msgspec.Struct, frozen=True):
    """One state of a run, as all who follow it are sent it."""

    id: UUID
    version: int
    agent_id: UUID
    task_id: UUID
    status: RunStatus
    data: bytes


async def ask_position(connection: AsyncConnection) -> Position:
    (row,) = await run(connection, SQL["ask_position"])
    return Position(row["milliseconds"], row["xid"])


async def find_changed(
    connection: AsyncConnection,
    since: Position,
    agent_ids: Collection[UUID] | None,
    *,
    after: UUID | None = None,
    limit: int,
) -> list[Found]:
    """`agent_ids` None: of all. By id, at most `limit`, those behind `after`."""
    owners = None if agent_ids is None else [*agent_ids]
    values = (since.xid, since.begun_since, owners, after, limit)
    return _found(await run(connection, SQL["find_changed_runs"], *values))


async def find_changed_among(connection: AsyncConnection, since: Position, run_ids: Collection[UUID]) -> list[Found]:
    return _found(await run(connection, SQL["find_changed_among"], since.xid, [*run_ids]))


async def read_runs(connection: AsyncConnection, run_ids: Collection[UUID]) -> list[Seen]:
    """As lists show them. Those that are not there any more are missing."""
    rows = (await connection.execute(READ_RUNS, {"run_ids": [*run_ids]})).mappings()
    return [_seen(row) for row in rows]


def _found(rows: Sequence[Any]) -> list[Found]:
    return [Found(**row) for row in rows]


def _seen(row: Mapping[Any, Any]) -> Seen:
    view = RunView(**shown({name: row[name] for name in RunView.__struct_fields__}))
    data = msgspec.json.encode(view)
    return Seen(view.id, row["version"], view.created_by, view.task_id, RunStatus(view.status), data)
