"""Which tasks a list shows, and in which order: the parts of it that `listing.find_ids` collects or walks."""

from collections.abc import Iterator
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, Text, Uuid, and_, func, literal, select, true
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import DESCENDING, Key, Part, find_ids
from services.gateway.tasks.wire import TaskFilter
from shared.models import DueWork, ScheduleCursor, Task
from shared.vocabulary.states import Source, TaskStatus

NEXT_RUN = "next_run_at"
# Shorter texts are in too many titles for an index.
GRAM_CHARACTERS = 3
SEARCHED_MAX = 20_000

TASK = Task.__table__.c
TITLE = func.lower(TASK.title, type_=Text())
ID = Key(TASK.id, UUID)
SORTS = {
    "created_at": (Key(TASK.created_at, datetime), ID),
    "updated_at": (Key(TASK.updated_at, datetime), ID),
    "priority": (Key(TASK.priority, int), Key(TASK.created_at, datetime), ID),
    "title": (Key(TITLE, str), ID),
}
# What waits in the middle of its work, or is tried again, is no next run.
IS_PENDING = and_(
    DueWork.source == Source.SCHEDULE.value,
    DueWork.locked_by.is_(None),
    DueWork.started_at.is_(None),
)
CURSOR = ScheduleCursor.__table__.c
CURSOR_AT = select(CURSOR.next_at).where(CURSOR.task_id == TASK.id).correlate(Task).scalar_subquery()
WORK_AT = (
    select(func.min(DueWork.run_at)).where(DueWork.task_id == TASK.id, IS_PENDING).correlate(Task).scalar_subquery()
)
# None of the others has a next run.
IS_ACTIVE = TASK.status == TaskStatus.ACTIVE.value

# Rows with a column of theirs.
Told: TypeAlias = tuple[Select[tuple[UUID]], ColumnElement[datetime]]


async def find_task_ids(
    connection: AsyncConnection, filters: TaskFilter, owner: UUID | None, request: PageRequest
) -> Found[UUID]:
    """`owner` None: whoever owns them. Sorted by their next run, only tasks that have one."""
    bounded = await _bounded(connection, filters, owner)
    few = _parts(bounded, owner, request, is_walked=False)
    return await find_ids(connection, few, _parts(bounded, owner, request, is_walked=True), request)


async def _bounded(connection: AsyncConnection, filters: TaskFilter, owner: UUID | None) -> TaskFilter:
    """A text that no index knows is looked for in so many tasks, the newest."""
    if filters.q is None or len(filters.q) >= GRAM_CHARACTERS:
        return filters
    newest = select(TASK.created_at).order_by(TASK.created_at.desc()).offset(SEARCHED_MAX).limit(1)
    created_after = await connection.scalar(newest if owner is None else newest.where(TASK.agent_id == owner))
    return msgspec.structs.replace(filters, created_after=created_after)


def matching(filters: TaskFilter, owner: UUID | None) -> Select[tuple[UUID]]:
    """The ids, in no order."""
    return select(TASK.id).where(*_conditions(filters, owner, is_walked=False), *_each_in_range(filters))


def _parts(filters: TaskFilter, owner: UUID | None, request: PageRequest, *, is_walked: bool) -> list[Part]:
    conditions = [*_conditions(filters, owner, is_walked=is_walked)]
    name = request.sort.removeprefix(DESCENDING)
    if name != NEXT_RUN and (is_walked or not _has_range(filters)):
        return [Part(select(TASK.id).where(*conditions, *_each_in_range(filters)), SORTS[name])]
    told = _next_runs(owner) if is_walked or _has_range(filters) else _next_runs_of_each()
    return [
        Part(rows.where(*conditions, IS_ACTIVE, *_between(at, filters)), SORTS.get(name, (Key(at, datetime), ID)))
        for rows, at in told
    ]


def _conditions(filters: TaskFilter, owner: UUID | None, *, is_walked: bool) -> Iterator[ColumnElement[bool]]:
    for agent_id in (owner, filters.created_by):
        if agent_id is not None:
            yield TASK.agent_id == agent_id
    yield from _in_closed_sets(filters)
    if filters.created_after is not None:
        yield TASK.created_at > filters.created_after
    if filters.dedupe_key is not None:
        yield TASK.dedupe_key == filters.dedupe_key
    if filters.tag is not None:
        yield TASK.tags.contains([filters.tag])
    if filters.ids is not None:
        yield TASK.id == func.any(literal(filters.ids, ARRAY(Uuid())))
    if filters.q is not None:
        yield from _in_title(filters.q, is_walked=is_walked)


def _in_closed_sets(filters: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if filters.status is not None:
        yield TASK.status == filters.status.value
    if filters.schedule_kind is not None:
        yield TASK.schedule_kind == filters.schedule_kind.value
    if filters.priority is not None:
        yield TASK.priority == filters.priority


def _in_title(text: str, *, is_walked: bool) -> Iterator[ColumnElement[bool]]:
    """The index knows of each title the texts of three characters in it; whoever walks past most tasks asks only the
    title."""
    wanted = literal(text, Text())
    if len(text) >= GRAM_CHARACTERS and not is_walked:
        yield func.title_grams(TASK.title, type_=ARRAY(Text())).contains(func.title_grams(wanted, type_=ARRAY(Text())))
    yield func.strpos(TITLE, func.lower(wanted)) > 0


def _next_runs_of_each() -> Iterator[Told]:
    """Tasks with the time of their next run, beginning at the tasks: for filters that few pass."""
    at = select(func.least(CURSOR_AT, WORK_AT).label("at")).offset(0).lateral("next_run")
    yield select(TASK.id).select_from(Task).join(at, true()).where(at.c.at.is_not(None)), at.c.at


def _next_runs(owner: UUID | None) -> Iterator[Told]:
    """The same, beginning at the times: that of the cursor, or of work that waits and comes before it."""
    sooner = select(DueWork.id).where(DueWork.task_id == CURSOR.task_id, IS_PENDING, DueWork.run_at < CURSOR.next_at)
    at_cursor = select(TASK.id).join_from(ScheduleCursor, Task, CURSOR.task_id == TASK.id)
    yield at_cursor.where(CURSOR.next_at.is_not(None), ~sooner.exists()), CURSOR.next_at
    pending = select(DueWork.task_id, func.min(DueWork.run_at).label("run_at")).where(IS_PENDING)
    if owner is not None:
        pending = pending.where(DueWork.agent_id == owner)
    earliest = pending.group_by(DueWork.task_id).subquery("earliest").c
    # Looked up one by one: what waits is little beside all the cursors, which a join would read.
    cursor_at = select(CURSOR.next_at).where(CURSOR.task_id == earliest.task_id).scalar_subquery()
    waiting = select(TASK.id).where(TASK.id == earliest.task_id)
    yield waiting.where(func.coalesce(earliest.run_at < cursor_at, true())), earliest.run_at


def _has_range(filters: TaskFilter) -> bool:
    return filters.next_run_after is not None or filters.next_run_before is not None


def _each_in_range(filters: TaskFilter) -> Iterator[ColumnElement[bool]]:
    """Looked up for each task that is walked past."""
    if _has_range(filters):
        yield from (IS_ACTIVE, *_between(func.least(CURSOR_AT, WORK_AT), filters))


def _between(at: ColumnElement[datetime], filters: TaskFilter) -> Iterator[ColumnElement[bool]]:
    if filters.next_run_after is not None:
        yield at >= filters.next_run_after
    if filters.next_run_before is not None:
        yield at < filters.next_run_before
