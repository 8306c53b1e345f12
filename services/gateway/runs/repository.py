"""Runs in the database."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, bindparam, case, cast, false, func, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from services.gateway.database import run, to_jsonb
from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import Key, find_page
from services.gateway.runs.wire import AttemptView, LogLine, RunError, RunStory, RunView, StepView
from shared.database.statements import load_statements
from shared.models import RunLog, Task, TaskRun
from shared.vocabulary.limits import LOG_LINES_PER_RUN
from shared.vocabulary.states import RunStatus

SQL = load_statements("services.gateway.runs", "sql/runs.sql")
CANCELING = load_statements("shared.database", "sql/canceling.sql")

# Of a page of 200 runs, at most as much as one client can use at once.
LISTED_OUTPUT_BYTES = 8 * 1024
STEPS_OUTPUT_BYTES = 1024 * 1024

Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]

LOG_COLUMNS: list[ColumnElement[Any]] = [RunLog.__table__.c[name] for name in LogLine.__struct_fields__]
LOG_SORTS = {"seq": (Key(RunLog.__table__.c.seq, int),)}


def listed_columns(run: Columns | type[TaskRun]) -> list[ColumnElement[Any]]:
    """What a RunView is made of, without an output that is large."""
    # The stored size first: it is known without unpacking the value.
    is_large = and_(
        run.output.is_not(None),
        or_(
            func.pg_column_size(run.output) > LISTED_OUTPUT_BYTES,
            func.octet_length(cast(run.output, Text)) > LISTED_OUTPUT_BYTES,
        ),
    )
    return _columns(
        run,
        {
            "is_output_omitted": is_large.label("is_output_omitted"),
            "output": case((not_(is_large), run.output)).label("output"),
        },
    )


def _columns(run: Columns | type[TaskRun], computed: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[Any]]:
    known = {"created_by": run.agent_id.label("created_by"), **computed}
    return [known[name] if name in known else getattr(run, name) for name in RunView.__struct_fields__]


RUN: Columns = TaskRun.__table__.c
WHOLE_VIEW = [*_columns(RUN, {"is_output_omitted": false().label("is_output_omitted")}), RUN.event]
OWNER = bindparam("owner", type_=Uuid())
OWNED = or_(OWNER.is_(None), TaskRun.agent_id == OWNER)
# Made once: building a statement and fitting a cached result to it takes longer than Postgres needs to answer.
FIND = select(*WHOLE_VIEW).where(TaskRun.id == bindparam("run_id", type_=Uuid()), OWNED)
FIND_STATUS = select(TaskRun.status, TaskRun.task_id).where(TaskRun.id == bindparam("run_id", type_=Uuid()), OWNED)


async def find_run(connection: AsyncConnection, run_id: UUID, owner: UUID | None) -> RunStory | None:
    row = (await connection.execute(FIND, {"run_id": run_id, "owner": owner})).mappings().first()
    return None if row is None else await _story(connection, row)


async def find_latest_run(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> RunStory | None:
    query = _owned(select(*WHOLE_VIEW), owner).where(TaskRun.task_id == task_id)
    row = (await connection.execute(query.order_by(TaskRun.id.desc()).limit(1))).mappings().first()
    return None if row is None else await _story(connection, row)


async def task_exists(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> bool:
    query = select(Task.id).where(Task.id == task_id)
    return await connection.scalar(query if owner is None else query.where(Task.agent_id == owner)) is not None


async def find_status(connection: AsyncConnection, run_id: UUID, owner: UUID | None) -> tuple[RunStatus, UUID] | None:
    """How a run stands, and of which task it is."""
    row = (await connection.execute(FIND_STATUS, {"run_id": run_id, "owner": owner})).first()
    return None if row is None else (RunStatus(row.status), row.task_id)


async def is_owner_disabled(connection: AsyncConnection, run_id: UUID) -> bool:
    return bool(await run(connection, SQL["find_disabled_owner"], run_id))


async def request_cancel(connection: AsyncConnection, run_id: UUID, message: str) -> bool:
    """False for a run that was asked to stop before."""
    return bool(await run(connection, SQL["request_cancel"], run_id, message))


async def cancel_released(connection: AsyncConnection, run_id: UUID) -> bool:
    """False for a run that an executor holds."""
    return bool(await run(connection, CANCELING["cancel_released"], [run_id]))


async def insert_replay(
    connection: AsyncConnection,
    new_id: UUID,
    old_id: UUID,
    task: Mapping[str, Any],
    *,
    traceparent: str | None,
    trace_id: str | None,
) -> None:
    """`task` as `hold_task` gave it."""
    await run(
        connection,
        SQL["insert_replay"],
        new_id,
        old_id,
        task["schedule_rev"],
        task["now"],
        task["priority"],
        task["concurrency_key"],
        traceparent,
        trace_id,
    )


async def find_callbacks(connection: AsyncConnection, run_id: UUID) -> dict[str, bool]:
    """The steps that wait, or waited, for their target to answer, and whether they still do."""
    return {row["step_id"]: row["is_waiting"] for row in await run(connection, SQL["find_callbacks"], run_id)}


async def find_step(
    connection: AsyncConnection, run_id: UUID, step_id: str, output: object, error: object
) -> Mapping[str, bool]:
    """How a step stands beside what somebody says of it: `is_settled`, `is_same`, `is_late`, `is_waiting`. Empty: it is
    not in the journal."""
    told = [None if value is None else to_jsonb(value) for value in (output, error)]
    rows = await run(connection, SQL["find_step"], run_id, step_id, *told)
    return dict(rows[0]) if rows else {}


async def insert_log(connection: AsyncConnection, run_id: UUID, lines: Sequence[tuple[str, str]]) -> int:
    """How many of the lines, each a level and a text, were kept."""
    levels, messages = [level for level, _ in lines], [message for _, message in lines]
    return len(await run(connection, SQL["insert_log"], run_id, levels, messages, LOG_LINES_PER_RUN))


async def list_log(connection: AsyncConnection, run_id: UUID, request: PageRequest) -> Found[LogLine]:
    query = select(*LOG_COLUMNS).where(RunLog.run_id == run_id)
    return await find_page(connection, query, LOG_SORTS, request, lambda row: LogLine(**row))


async def _story(connection: AsyncConnection, row: Mapping[Any, Any]) -> RunStory:
    steps = await run(connection, SQL["list_steps"], row["id"], STEPS_OUTPUT_BYTES)
    attempts = await run(connection, SQL["list_attempts"], row["id"])
    return RunStory(**shown(row), steps=[_step(each) for each in steps], attempts=[_attempt(each) for each in attempts])


def shown(row: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of a RunView from its columns."""
    error = _error(row["error"])
    if error is not None and row["status"] == RunStatus.RETRYING:
        error = msgspec.structs.replace(error, next_retry_at=row["next_attempt_at"])
    return {**row, "error": error}


def _step(row: Mapping[Any, Any]) -> StepView:
    named = {name: value for name, value in row.items() if name != "step_id"}
    return StepView(**{**named, "id": row["step_id"], "error": _error(row["error"])})


def _attempt(row: Mapping[Any, Any]) -> AttemptView:
    return AttemptView(**{**row, "error": _error(row["error"]) or RunError()})


def _error(stored: msgspec.Raw | None) -> RunError | None:
    return None if stored is None else msgspec.json.decode(stored, type=RunError)


def _owned(query: Select[Any], owner: UUID | None) -> Select[Any]:
    return query if owner is None else query.where(TaskRun.agent_id == owner)
