"""The audit trail in the database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.wire import Entry, EntryFilter, EntryView
from services.gateway.database import run, to_jsonb
from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import Key, Sorts, find_page
from shared.database.statements import load_statements
from shared.models import Agent, AuditEntry
from shared.vocabulary.names import name_key

SQL = load_statements("services.gateway.audit", "sql/audit.sql")
VIEW = [getattr(AuditEntry, name) for name in EntryView.__struct_fields__]
SORTS: Sorts = {"at": (Key(AuditEntry.__table__.c.at, datetime), Key(AuditEntry.__table__.c.seq, int))}
# All entries of one kind, such as `task.*`.
WHOLE_KIND = ".*"


async def insert_entry(connection: AsyncConnection, entry: Entry) -> None:
    await run(
        connection,
        SQL["insert_entry"],
        entry.actor_id,
        entry.actor_name,
        entry.action,
        entry.subject_type,
        str(entry.subject_id),
        to_jsonb(entry.details),
        entry.request_id,
        entry.trace_id,
    )


async def insert_entries(
    connection: AsyncConnection, about: Entry, subjects: Sequence[tuple[UUID, Mapping[str, Any]]]
) -> None:
    """As `about`, for each of the subjects with its details."""
    await run(
        connection,
        SQL["insert_entries"],
        about.actor_id,
        about.actor_name,
        about.action,
        about.subject_type,
        [str(subject_id) for subject_id, _ in subjects],
        [to_jsonb(details) for _, details in subjects],
        about.request_id,
        about.trace_id,
    )


async def find_entries(
    connection: AsyncConnection, filters: EntryFilter, owner: UUID | None, request: PageRequest
) -> Found[EntryView]:
    """`owner` None: of everybody."""
    known = await resolve(connection, filters)
    return await find_page(connection, _entries(known, owner), SORTS, request, _view)


async def resolve(connection: AsyncConnection, filters: EntryFilter) -> EntryFilter:
    """With the id of the agent that has this name now: entries are found by ids, which stay. Other names are those of
    what is no agent, such as `scheduler`."""
    if filters.actor is None:
        return filters
    found = await connection.scalar(select(Agent.id).where(Agent.name_key == name_key(filters.actor)))
    return filters if found is None else msgspec.structs.replace(filters, actor=str(found))


async def bound(connection: AsyncConnection, filters: EntryFilter) -> EntryFilter:
    """So that what is written from now on is no part of it."""
    now: datetime = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    end = now if filters.end_time is None else min(now, filters.end_time)
    return msgspec.structs.replace(await resolve(connection, filters), end_time=end)


async def next_entries(
    connection: AsyncConnection,
    filters: EntryFilter,
    owner: UUID | None,
    after: tuple[datetime, int] | None,
    limit: int,
) -> list[EntryView]:
    """Oldest first."""
    query = _entries(filters, owner).order_by(AuditEntry.at, AuditEntry.seq).limit(limit)
    if after is not None:
        position = tuple_(*[literal(value, column.type) for value, column in zip(after, _place(), strict=True)])
        query = query.where(tuple_(*_place()) > position)
    return [_view(row) for row in (await connection.execute(query)).mappings()]


def _place() -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    columns = AuditEntry.__table__.c
    return columns.at, columns.seq


def _view(row: Mapping[Any, Any]) -> EntryView:
    return EntryView(**row)


def _entries(filters: EntryFilter, owner: UUID | None) -> Select[Any]:
    query = select(*VIEW)
    if owner is not None:
        query = query.where(AuditEntry.actor_id == owner)
    if filters.actor is not None:
        query = query.where(_is_by(filters.actor))
    if filters.action is not None:
        query = query.where(_is_act(filters.action))
    for name in ("subject_type", "subject_id", "request_id"):
        wanted = getattr(filters, name)
        if wanted is not None:
            query = query.where(getattr(AuditEntry, name) == wanted)
    if filters.start_time is not None:
        query = query.where(AuditEntry.at >= filters.start_time)
    if filters.end_time is not None:
        query = query.where(AuditEntry.at < filters.end_time)
    return query


def _is_by(actor: str) -> ColumnElement[bool]:
    try:
        return AuditEntry.actor_id == UUID(actor)
    except ValueError:
        return and_(AuditEntry.actor_id.is_(None), AuditEntry.actor_name == actor)


def _is_act(action: str) -> ColumnElement[bool]:
    if action.endswith(WHOLE_KIND):
        return AuditEntry.action.startswith(action.removesuffix("*"), autoescape=True)
    return AuditEntry.action == action
