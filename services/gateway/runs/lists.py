"""Lists of runs in the database: each filter finds an index that holds little more than what it lets through."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, Uuid, bindparam, literal_column, select, true, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import DESCENDING, Key, find_page
from services.gateway.runs.repository import Columns, listed_columns, shown, task_exists
from services.gateway.runs.wire import ERROR_HINT, RunFilter, RunView
from shared.models import DueWork, TaskRun
from shared.vocabulary.ids import first_uuid7_at
from shared.vocabulary.states import FINAL_RUN_STATUSES, RunStatus, Source

MILLISECOND = timedelta(milliseconds=1)
LAST = datetime.max.replace(tzinfo=UTC)

SUCCESSFUL = frozenset({RunStatus.SUCCEEDED})
FAILED = frozenset({RunStatus.FAILED, RunStatus.DEAD})


RUNS = TaskRun.__table__
RUN: Columns = RUNS.c
WORK: Columns = DueWork.__table__.c


class Origin(msgspec.Struct, frozen=True):
    """Where runs are read from: `run` has their columns, `id` is what they are sorted by. `counted`: what is counted
    instead."""

    run: Columns
    id: ColumnElement[Any]
    tables: FromClause
    where: Sequence[ColumnElement[bool]] = ()
    counted: Select[Any] | None = None


async def list_runs(
    connection: AsyncConnection, filters: RunFilter, owner: UUID | None, request: PageRequest
) -> Found[RunView]:
    """`owner`: whose runs alone are seen."""
    statuses = _statuses(filters)
    asked = msgspec.structs.replace(filters, created_by=owner or filters.created_by)
    if statuses == frozenset() or filters.created_by not in {None, asked.created_by}:
        return Found([], 0, None)
    if asked.task_id is not None and not await task_exists(connection, asked.task_id, asked.created_by):
        return Found([], 0, None)
    origin = _origin(asked, statuses, request)
    query = select(*listed_columns(origin.run)).select_from(origin.tables).where(*origin.where)
    sorts = {"scheduled_for": (Key(origin.id, UUID),)}
    return await find_page(connection, query, sorts, request, lambda row: _view(row, filters), counted=origin.counted)


def _statuses(filters: RunFilter) -> frozenset[RunStatus] | None:
    """Those that a run may have; None for any."""
    asked = None if filters.status is None else frozenset({filters.status})
    if filters.success is None:
        return asked
    of_success = SUCCESSFUL if filters.success else FAILED
    return of_success if asked is None else asked & of_success


def _origin(filters: RunFilter, statuses: frozenset[RunStatus] | None, request: PageRequest) -> Origin:
    if statuses is None:
        return Origin(RUN, RUN.id, RUNS, [*_of_runs(filters)])
    if not statuses <= FINAL_RUN_STATUSES:
        return _unfinished(filters, *statuses)
    parts = [[_has_status(status), *_of_runs(filters)] for status in sorted(statuses)]
    return Origin(RUN, RUN.id, RUNS, parts[0]) if len(parts) == 1 else _merged(parts, request)


def _merged(parts: Sequence[Sequence[ColumnElement[bool]]], request: PageRequest) -> Origin:
    """Of each part as much as can be on the page, in the order of its index: left to itself, the planner reads all of
    them and sorts."""
    page = union_all(*[_first_of(select(RUNS).where(*part), request) for part in parts]).subquery("run")
    whole = union_all(*[select(RUN.id).where(*part) for part in parts]).subquery("run")
    return Origin(page.c, page.c.id, page, counted=select(true()).select_from(whole))


def _first_of(runs: Select[Any], request: PageRequest) -> Select[Any]:
    is_descending = request.sort.startswith(DESCENDING)
    if request.after is not None:
        (last,) = (msgspec.convert(value, UUID) for value in request.after)
        runs = runs.where(RUN.id < last if is_descending else RUN.id > last)
    ordered = runs.order_by(RUN.id.desc() if is_descending else RUN.id)
    return ordered.limit(request.offset + request.limit + 1).subquery().select()


def _unfinished(filters: RunFilter, status: RunStatus) -> Origin:
    """Each run without an outcome has a row in the queue, so that no index need hold it while it runs. The limit of one
    keeps the planner from reading all runs for a queue that has grown since its statistics were made."""
    work = select(WORK.id).where(*_of_work(filters, status)).subquery("work")
    runs = select(RUNS).where(RUN.id == work.c.id, _has_status(status), *_of_runs(filters))
    run = runs.limit(literal_column("1")).lateral("run")
    return Origin(run.c, work.c.id, work.join(run, true()))


def _has_status(status: RunStatus) -> ColumnElement[bool]:
    has: ColumnElement[bool] = RUN.status == _word(status)
    return has


def _word(word: RunStatus | Source) -> ColumnElement[str]:
    """Written out, not a parameter: only so does a plan made for all values know that a partial index has the row."""
    return literal_column(f"'{word.value}'")


def _of_runs(filters: RunFilter) -> Iterator[ColumnElement[bool]]:
    if filters.task_id is not None:
        yield RUN.task_id == filters.task_id
    if filters.created_by is not None:
        is_of_agent = RUN.agent_id == filters.created_by
        # The runs of a task are those of its agent, which the planner does not know: left to choose, it reads all runs
        # of both and intersects them.
        yield is_of_agent if filters.task_id is None else is_of_agent.is_(true())
    if filters.source is not None:
        yield RUN.source == _word(filters.source)
    # An id begins with the milliseconds of scheduled_for, so that for whole ones the range of ids says everything.
    if filters.start_time is not None:
        yield RUN.id >= _first_id(filters.start_time)
        if not _is_whole(filters.start_time):
            yield RUN.scheduled_for >= filters.start_time
    if filters.end_time is not None:
        if _is_whole(filters.end_time):
            yield RUN.id < _first_id(filters.end_time)
        else:
            yield RUN.id < _first_id(min(filters.end_time, LAST - MILLISECOND) + MILLISECOND)
            yield RUN.scheduled_for < filters.end_time


def _first_id(moment: datetime) -> ColumnElement[UUID]:
    """Written out too: a plan made for any range takes it for a short one, and reads all runs in it."""
    return bindparam("first_id", first_uuid7_at(moment), type_=Uuid(), unique=True, literal_execute=True)


def _of_work(filters: RunFilter, status: RunStatus) -> Iterator[ColumnElement[bool]]:
    """Never more than is true of the runs too: it only spares a look at those that cannot be meant."""
    if filters.task_id is not None:
        yield WORK.task_id == filters.task_id
    if filters.created_by is not None:
        yield WORK.agent_id == filters.created_by
    if status is not RunStatus.QUEUED:
        yield WORK.started_at.is_not(None)


def _is_whole(moment: datetime) -> bool:
    return moment.microsecond % 1000 == 0


def _view(row: Mapping[Any, Any], filters: RunFilter) -> RunView:
    view = RunView(**shown(row))
    if view.error is None or filters.include_errors:
        return view
    return msgspec.structs.replace(view, error=msgspec.structs.replace(view.error, message=ERROR_HINT))
