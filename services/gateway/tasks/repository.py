"""Tasks, their cursors and their waiting work in the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import asking, run, violated_constraint
from services.gateway.fixed import FixedQuery
from services.gateway.http.paging import Found, PageRequest
from services.gateway.tasks.searching import CURSOR_AT, WORK_AT, find_task_ids, matching
from services.gateway.tasks.wire import TaskFilter, TaskView
from shared.database.statements import load_statements
from shared.models import Agent, Task
from shared.tasks import creating
from shared.tasks.creating import Accepted
from shared.vocabulary.faults import Fault
from shared.vocabulary.limits import TOTAL_MAX
from shared.vocabulary.states import AgentStatus, SkipReason, TaskStatus

SQL = load_statements("services.gateway.tasks", "sql/tasks.sql")
CANCELING = load_statements("shared.database", "sql/canceling.sql")

COMPUTED: Mapping[str, ColumnElement[Any]] = {
    "created_by": Task.agent_id.label("created_by"),
    "next_run_at": func.least(CURSOR_AT, WORK_AT).label("next_run_at"),
}
VIEW = [COMPUTED[name] if name in COMPUTED else getattr(Task, name) for name in TaskView.__struct_fields__]


OWNER = bindparam("owner", type_=Uuid())
ONE = and_(Task.id == bindparam("task_id", type_=Uuid()), or_(OWNER.is_(None), Task.agent_id == OWNER))
# Made once: building a statement and fitting a cached result to it takes longer than Postgres needs to answer.
FIND = FixedQuery(select(*VIEW).where(ONE))
FIND_ALL = FixedQuery(select(*VIEW).where(Task.id == func.any(bindparam("task_ids", type_=ARRAY(Uuid())))))
COLUMNS = select(Task.__table__, func.now().label("now")).where(ONE)
LOCK, HOLD = FixedQuery(COLUMNS.with_for_update(key_share=True)), FixedQuery(COLUMNS.with_for_update(read=True))
# As the index on the keys says it.
IS_LIVING = text("task.status IN ('active', 'paused')")
LOCK_BY_KEY = FixedQuery(
    select(Task.__table__, func.now().label("now"))
    .where(Task.agent_id == OWNER, Task.dedupe_key == bindparam("dedupe_key", type_=Text()), IS_LIVING)
    .with_for_update(key_share=True)
)


class Canceled(msgspec.Struct, frozen=True):
    """How many runs ended at once, and how many more were asked to stop."""

    ended: int
    asked: int


async def count_matching(
    connection: AsyncConnection, filters: TaskFilter, owner: UUID | None, statuses: Sequence[TaskStatus]
) -> int:
    """Those of these statuses, or of all; no further than lists are counted."""
    some = _matching(filters, owner, statuses).limit(TOTAL_MAX).subquery()
    return await connection.scalar(select(func.count()).select_from(some)) or 0


async def list_matching(
    connection: AsyncConnection, filters: TaskFilter, owner: UUID | None, statuses: Sequence[TaskStatus], limit: int
) -> list[UUID]:
    """The ids of the first, in their order."""
    some = _matching(filters, owner, statuses).cte("matches").prefix_with("MATERIALIZED", dialect="postgresql")
    return [*(await connection.scalars(select(some.c.id).order_by(some.c.id).limit(limit)))]


async def insert_task(
    connection: AsyncConnection, task_id: UUID, owner_id: UUID, accepted: Accepted, traceparent: str | None
) -> datetime | None:
    """With its cursor, unless it waits for events. When it was created; None where its dedupe_key is taken. Only what
    has a key is asked whether it is: that takes longer."""
    ask = asking(connection)
    if accepted.task.dedupe_key is None:
        return await creating.insert_task(ask, task_id, owner_id, accepted, traceparent)
    made = await creating.insert_tasks(ask, [(task_id, owner_id, accepted)], traceparent)
    return made.get(task_id)


async def find_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> TaskView | None:
    """`owner` None: whoever owns it."""
    row = await FIND.first(connection, task_id=task_id, owner=owner)
    return None if row is None else TaskView(**row)


async def find_tasks(connection: AsyncConnection, task_ids: Sequence[UUID]) -> Mapping[UUID, TaskView]:
    """Whoever owns them."""
    rows = await FIND_ALL.rows(connection, task_ids=[*task_ids]) if task_ids else ()
    return {row["id"]: TaskView(**row) for row in rows}


async def list_tasks(
    connection: AsyncConnection, filters: TaskFilter, owner: UUID | None, request: PageRequest
) -> Found[TaskView]:
    """`owner` None: whoever owns them."""
    found = await find_task_ids(connection, filters, owner, request)
    views = await find_tasks(connection, found.items)
    return Found([views[task_id] for task_id in found.items if task_id in views], found.total, found.last)


async def lock_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> dict[str, Any] | None:
    """Its columns, `cursor_at` and `runs_planned` of its cursor, and the database's `now`, once nobody else can change
    it or make work of it."""
    task = await LOCK.first(connection, task_id=task_id, owner=owner)
    return None if task is None else await _with_cursor(connection, task)


async def lock_task_with_key(connection: AsyncConnection, owner_id: UUID, dedupe_key: str) -> dict[str, Any] | None:
    """As `lock_task`: the living task of the agent that has the key."""
    row = await LOCK_BY_KEY.first(connection, owner=owner_id, dedupe_key=dedupe_key)
    return None if row is None else await _with_cursor(connection, row)


async def hold_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> dict[str, Any] | None:
    """As `lock_task`, against changes of the task only: work may be made of it beside this."""
    return await HOLD.first(connection, task_id=task_id, owner=owner)


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
    """Until the transaction ends it stays so."""
    query = select(Agent.id).where(Agent.id == agent_id, Agent.status == AgentStatus.ACTIVE)
    return await connection.scalar(query.with_for_update(read=True)) is not None


def _matching(filters: TaskFilter, owner: UUID | None, statuses: Sequence[TaskStatus]) -> Select[tuple[UUID]]:
    query = matching(filters, owner)
    return query.where(Task.status.in_([status.value for status in statuses])) if statuses else query


async def _with_cursor(connection: AsyncConnection, task: Mapping[Any, Any]) -> dict[str, Any]:
    rows = await run(connection, SQL["lock_cursor"], task["id"])
    return {**{str(name): value for name, value in task.items()}, **rows[0]}


def _fault_of(error: IntegrityError) -> Fault | IntegrityError:
    return creating.dedupe_key_taken() if violated_constraint(error) == creating.DEDUPE_KEY_TAKEN else error
