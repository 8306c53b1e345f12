"""Tasks, their cursors and their waiting work in the database."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Uuid, and_, bindparam, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import asking, run, violated_constraint
from services.gateway.tasks.wire import TaskFilter, TaskView
from shared.database.statements import load_statements
from shared.models import Agent, DueWork, ScheduleCursor, Task
from shared.tasks import creating
from shared.tasks.creating import Accepted
from shared.vocabulary.faults import Fault
from shared.vocabulary.states import AgentStatus, SkipReason, Source

SQL = load_statements("services.gateway.tasks", "sql/tasks.sql")
CANCELING = load_statements("shared.database", "sql/canceling.sql")

CURSOR_AT = select(ScheduleCursor.next_at).where(ScheduleCursor.task_id == Task.id).scalar_subquery()
WORK_AT = (
    select(func.min(DueWork.run_at))
    .where(
        DueWork.task_id == Task.id,
        DueWork.source == Source.SCHEDULE,
        DueWork.locked_by.is_(None),
        # What waits in the middle of its work, or is tried again, is no next run.
        DueWork.started_at.is_(None),
    )
    .scalar_subquery()
)
COMPUTED: Mapping[str, ColumnElement[Any]] = {
    "created_by": Task.agent_id.label("created_by"),
    "next_run_at": func.least(CURSOR_AT, WORK_AT).label("next_run_at"),
}
VIEW = [COMPUTED[name] if name in COMPUTED else getattr(Task, name) for name in TaskView.__struct_fields__]


OWNER = bindparam("owner", type_=Uuid())
ONE = and_(Task.id == bindparam("task_id", type_=Uuid()), or_(OWNER.is_(None), Task.agent_id == OWNER))
# Made once: building a statement and fitting a cached result to it takes longer than Postgres needs to answer.
FIND = select(*VIEW).where(ONE)
COLUMNS = select(Task.__table__, func.now().label("now")).where(ONE)
LOCK, HOLD = COLUMNS.with_for_update(key_share=True), COLUMNS.with_for_update(read=True)


class Canceled(msgspec.Struct, frozen=True):
    """How many runs ended at once, and how many more were asked to stop."""

    ended: int
    asked: int


async def insert_task(
    connection: AsyncConnection, task_id: UUID, owner_id: UUID, accepted: Accepted, traceparent: str | None
) -> datetime:
    """With its cursor, unless it waits for events. When it was created."""
    try:
        return await creating.insert_task(asking(connection), task_id, owner_id, accepted, traceparent)
    except IntegrityError as error:
        raise _fault_of(error) from error


async def find_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> TaskView | None:
    """`owner` None: whoever owns it."""
    row = (await connection.execute(FIND, {"task_id": task_id, "owner": owner})).mappings().first()
    return None if row is None else TaskView(**row)


async def list_tasks(
    connection: AsyncConnection, filters: TaskFilter, owner: UUID | None, limit: int, offset: int
) -> tuple[list[TaskView], int]:
    """Newest first, and how many there are."""
    total = await connection.scalar(_filtered(_owned(select(func.count()).select_from(Task), owner), filters))
    query = _filtered(_owned(select(*VIEW), owner), filters).order_by(Task.id.desc()).limit(limit).offset(offset)
    rows = (await connection.execute(query)).mappings()
    return [TaskView(**row) for row in rows], total or 0


async def lock_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> dict[str, Any] | None:
    """Its columns, `cursor_at` and `runs_planned` of its cursor, and the database's `now`, once nobody else can change
    it or make work of it."""
    task = await _one(connection, LOCK, task_id, owner)
    if task is None:
        return None
    rows = await run(connection, SQL["lock_cursor"], task_id)
    return {**task, **rows[0]}


async def hold_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> dict[str, Any] | None:
    """As `lock_task`, against changes of the task only: work may be made of it beside this."""
    return await _one(connection, HOLD, task_id, owner)


async def update_task(connection: AsyncConnection, task_id: UUID, values: Mapping[str, Any]) -> None:
    """One version further."""
    stamped = {**values, "version": Task.version + 1, "updated_at": func.now()}
    try:
        await connection.execute(update(Task).where(Task.id == task_id).values(stamped))
    except IntegrityError as error:
        raise _fault_of(error) from error


async def put_cursor(
    connection: AsyncConnection, task_id: UUID, schedule_rev: int, next_at: datetime, runs_planned: int
) -> None:
    await run(connection, SQL["put_cursor"], task_id, schedule_rev, next_at, runs_planned)


async def drop_cursor(connection: AsyncConnection, task_id: UUID) -> None:
    await run(connection, SQL["drop_cursor"], task_id)


async def count_planned_runs(connection: AsyncConnection, task_id: UUID) -> int:
    rows = await run(connection, SQL["count_planned_runs"], task_id)
    return int(rows[0]["planned"])


async def withdraw_work(
    connection: AsyncConnection, task: Mapping[str, Any], reason: SkipReason, *, is_schedule_only: bool = False
) -> None:
    """What was never begun. `task` as `lock_task` gave it."""
    await run(connection, SQL["withdraw_work"], task["id"], is_schedule_only, reason, task["now"])


async def cancel_work(connection: AsyncConnection, task_id: UUID) -> Canceled:
    """Ends what no executor holds with all that hangs on it; what one holds is asked to stop."""
    asked = await run(connection, SQL["request_cancel"], task_id)
    ended = {row["id"] for row in await run(connection, CANCELING["cancel_released"], [row["id"] for row in asked])}
    return Canceled(len(ended), sum(row["is_new"] for row in asked if row["id"] not in ended))


async def insert_manual_work(
    connection: AsyncConnection, run_id: UUID, task: Mapping[str, Any], traceparent: str | None, trace_id: str | None
) -> None:
    await run(
        connection,
        SQL["insert_manual_work"],
        run_id,
        task["id"],
        task["agent_id"],
        task["schedule_rev"],
        task["now"],
        task["priority"],
        task["concurrency_key"],
        traceparent,
        trace_id,
    )


async def is_active_agent(connection: AsyncConnection, agent_id: UUID) -> bool:
    query = select(Agent.id).where(Agent.id == agent_id, Agent.status == AgentStatus.ACTIVE)
    return await connection.scalar(query) is not None


async def _one(
    connection: AsyncConnection, query: Select[Any], task_id: UUID, owner: UUID | None
) -> dict[str, Any] | None:
    row = (await connection.execute(query, {"task_id": task_id, "owner": owner})).mappings().first()
    return None if row is None else {str(name): value for name, value in row.items()}


def _owned(query: Select[Any], owner: UUID | None) -> Select[Any]:
    return query if owner is None else query.where(Task.agent_id == owner)


def _filtered(query: Select[Any], filters: TaskFilter) -> Select[Any]:
    return query.where(*_conditions(filters))


def _conditions(filters: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if filters.status is not None:
        yield Task.status == filters.status
    if filters.schedule_kind is not None:
        yield Task.schedule_kind == filters.schedule_kind
    if filters.created_by is not None:
        yield Task.agent_id == filters.created_by
    if filters.tag is not None:
        yield Task.tags.contains([filters.tag])


def _fault_of(error: IntegrityError) -> Fault | IntegrityError:
    return creating.dedupe_key_taken() if violated_constraint(error) == creating.DEDUPE_KEY_TAKEN else error
