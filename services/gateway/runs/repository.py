"""Runs in the database."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, bindparam, case, cast, false, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.runs.wire import RunFilter, RunView
from shared.models import Task, TaskRun
from shared.vocabulary.ids import first_uuid7_at

# Of a page of 200 runs, at most as much as one client can use at once.
LISTED_OUTPUT_BYTES = 8 * 1024

# The stored size first: it is known without unpacking the value.
IS_LARGE = and_(
    TaskRun.output.is_not(None),
    or_(
        func.pg_column_size(TaskRun.output) > LISTED_OUTPUT_BYTES,
        func.octet_length(cast(TaskRun.output, Text)) > LISTED_OUTPUT_BYTES,
    ),
)
WHOLE: Mapping[str, ColumnElement[Any]] = {
    "created_by": TaskRun.agent_id.label("created_by"),
    "is_output_omitted": false().label("is_output_omitted"),
}
LISTED: Mapping[str, ColumnElement[Any]] = {
    **WHOLE,
    "is_output_omitted": IS_LARGE.label("is_output_omitted"),
    "output": case((not_(IS_LARGE), TaskRun.output)).label("output"),
}


def _columns(computed: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    return [computed[name] if name in computed else getattr(TaskRun, name) for name in RunView.__struct_fields__]


WHOLE_VIEW, LISTED_VIEW = _columns(WHOLE), _columns(LISTED)
OWNER = bindparam("owner", type_=Uuid())
# Made once: building a statement and fitting a cached result to it takes longer than Postgres needs to answer.
FIND = select(*WHOLE_VIEW).where(
    TaskRun.id == bindparam("run_id", type_=Uuid()), or_(OWNER.is_(None), TaskRun.agent_id == OWNER)
)


async def find_run(connection: AsyncConnection, run_id: UUID, owner: UUID | None) -> RunView | None:
    row = (await connection.execute(FIND, {"run_id": run_id, "owner": owner})).mappings().first()
    return None if row is None else RunView(**row)


async def find_latest_run(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> RunView | None:
    query = _owned(select(*WHOLE_VIEW), owner).where(TaskRun.task_id == task_id)
    row = (await connection.execute(query.order_by(TaskRun.id.desc()).limit(1))).mappings().first()
    return None if row is None else RunView(**row)


async def list_runs(
    connection: AsyncConnection, filters: RunFilter, owner: UUID | None, limit: int, offset: int
) -> tuple[list[RunView], int]:
    """Newest first, and how many there are."""
    total = await connection.scalar(_filtered(_owned(select(func.count()).select_from(TaskRun), owner), filters))
    query = _filtered(_owned(select(*LISTED_VIEW), owner), filters)
    rows = (await connection.execute(query.order_by(TaskRun.id.desc()).limit(limit).offset(offset))).mappings()
    return [RunView(**row) for row in rows], total or 0


async def task_exists(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> bool:
    query = select(Task.id).where(Task.id == task_id)
    return await connection.scalar(query if owner is None else query.where(Task.agent_id == owner)) is not None


def _owned(query: Select[Any], owner: UUID | None) -> Select[Any]:
    return query if owner is None else query.where(TaskRun.agent_id == owner)


def _filtered(query: Select[Any], filters: RunFilter) -> Select[Any]:
    return query.where(*_conditions(filters))


def _conditions(filters: RunFilter) -> Iterator[ColumnElement[bool]]:
    if filters.task_id is not None:
        yield TaskRun.task_id == filters.task_id
    if filters.status is not None:
        yield TaskRun.status == filters.status
    if filters.success is not None:
        yield TaskRun.success.is_(filters.success)
    if filters.source is not None:
        yield TaskRun.source == filters.source
    if filters.start_time is not None:
        yield TaskRun.scheduled_for >= filters.start_time
        # The id begins with the milliseconds of scheduled_for: this bound spares the partitions before it.
        yield TaskRun.id >= first_uuid7_at(filters.start_time)
    if filters.end_time is not None:
        yield TaskRun.scheduled_for < filters.end_time
