"""Events, their topics and who listens, in the database. Publishing itself is `shared.events`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.events.wire import EventView
from shared.database.statements import load_statements
from shared.events.event import Event
from shared.events.publishing import event_of
from shared.models import Agent
from shared.vocabulary.limits import TOTAL_MAX
from shared.vocabulary.states import AgentStatus

SQL = load_statements("services.gateway.events", "sql/events.sql")

PAYLOADS_BYTES = 4 * 1024 * 1024
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
# Before and after all events.
BEGINNING, END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
# Behind every character that a topic has.
BEHIND = "\x7f"


class Place(msgspec.Struct, frozen=True):
    """Where an event stands among all."""

    published_at: datetime
    id: UUID


class Named(msgspec.Struct, frozen=True):
    """`digest` of what its publisher calls an event of this agent."""

    agent_id: UUID
    digest: bytes


class ReplayedTo(msgspec.Struct, frozen=True):
    """A task that is given past events. `may_read`: its owner is active, and may read events."""

    id: UUID
    agent_id: UUID
    schedule_rev: int
    priority: int
    concurrency_key: str | None
    schedule_expr: str
    event_filter: str | None
    schedule_kind: str
    status: str
    may_read: bool
    now: datetime


ALL_BEFORE, ALL_AFTER = Place(BEGINNING, FIRST_ID), Place(END, LAST_ID)


async def active_agents(connection: AsyncConnection, agent_ids: set[UUID]) -> set[UUID]:
    query = select(Agent.id).where(Agent.id.in_(agent_ids), Agent.status == AgentStatus.ACTIVE)
    return {*(await connection.scalars(query))}


async def claim_keys(connection: AsyncConnection, named: Mapping[Named, UUID]) -> Mapping[Named, UUID]:
    """The event of each name: the one given here, or the one that had the name before."""
    columns = [name.agent_id for name in named], [name.digest for name in named]
    claimed = await run(connection, SQL["claim_keys"], *columns, [*named.values()])
    if len(claimed) == len(named):
        return named
    rows = await run(connection, SQL["find_keys"], *columns)
    removed = [row["event_id"] for row in rows if not row["is_kept"] and row["event_id"] not in named.values()]
    if removed:
        await run(connection, SQL["forget_keys"], removed)
        return await claim_keys(connection, named)
    return {Named(row["agent_id"], row["digest"]): row["event_id"] for row in rows}


async def list_patterns(connection: AsyncConnection, prefix: str, limit: int) -> list[str]:
    return [row["pattern"] for row in await run(connection, SQL["list_patterns"], prefix, limit)]


async def list_topics(
    connection: AsyncConnection, prefix: str, limit: int, published_since: datetime = BEGINNING
) -> list[str]:
    rows = await run(connection, SQL["list_topics"], prefix, prefix + BEHIND, published_since, limit)
    return [row["topic"] for row in rows]


async def count_listeners(
    connection: AsyncConnection, patterns: Sequence[str], *, with_every_pattern: bool
) -> Mapping[str, Mapping[UUID, int]]:
    """By pattern, then by owner."""
    statement = SQL["count_listeners_to_any" if with_every_pattern else "count_listeners"]
    found: dict[str, dict[UUID, int]] = {}
    for row in await run(connection, statement, patterns):
        found.setdefault(row["pattern"], {})[row["agent_id"]] = row["listeners"]
    return found


async def count_published(
    connection: AsyncConnection, topics: Sequence[str], since: datetime, count_max: int
) -> Mapping[str, tuple[int, datetime]]:
    """By topic: how many since then, and when the last one was."""
    rows = await run(connection, SQL["count_published"], topics, since, count_max)
    return {row["topic"]: (row["published"], row["last_published_at"]) for row in rows}


async def find_place(connection: AsyncConnection, event_id: UUID) -> Place | None:
    for row in await run(connection, SQL["find_published_at"], event_id):
        return Place(row["published_at"], event_id)
    return None


async def list_recent(
    connection: AsyncConnection, topics: Sequence[str] | None, after: Place, before: Place, limit: int
) -> list[EventView]:
    """Newest first. `topics` None: of every topic."""
    bounds = (after.published_at, after.id, before.published_at, before.id, limit, PAYLOADS_BYTES)
    if topics is None:
        return [_view(row) for row in await run(connection, SQL["list_recent"], *bounds)]
    return [_view(row) for row in await run(connection, SQL["list_recent_of_topics"], *bounds, topics)]


async def count_recent(connection: AsyncConnection, topics: Sequence[str] | None, after: Place) -> int:
    """One more than the greatest total that is shown, at most."""
    bounds = (after.published_at, after.id, TOTAL_MAX + 1)
    if topics is None:
        (row,) = await run(connection, SQL["count_recent"], *bounds)
    else:
        (row,) = await run(connection, SQL["count_recent_of_topics"], *bounds, topics)
    return int(row["events"])


async def list_range(
    connection: AsyncConnection, topics: Sequence[str], after: Place, until: datetime, limit: int
) -> list[tuple[Event, datetime]]:
    """Oldest first, each with the time at which it was published."""
    rows = await run(connection, SQL["list_range"], after.published_at, after.id, until, limit, topics)
    return [(event_of(row["id"], _named(row)), row["published_at"]) for row in rows]


async def hold_task(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> ReplayedTo | None:
    for row in await run(connection, SQL["hold_task"], task_id, owner):
        return ReplayedTo(**_named(row))
    return None


async def insert_replayed(
    connection: AsyncConnection,
    task: ReplayedTo,
    runs: Sequence[tuple[UUID, datetime, str]],
    *,
    traceparent: str | None,
    trace_id: str | None,
) -> None:
    """`runs`: the id, the time, and the event as JSON of each."""
    await run(
        connection,
        SQL["insert_replayed"],
        *(task.id, task.agent_id, task.schedule_rev, task.priority, task.concurrency_key, traceparent, trace_id),
        [run_id for run_id, _, _ in runs],
        [at for _, at, _ in runs],
        [event for _, _, event in runs],
    )


async def remove_events(connection: AsyncConnection, before: datetime, limit: int) -> tuple[int, bool]:
    """How many were removed, at least `limit` unless there are fewer, and whether more are left."""
    ends = await run(connection, SQL["find_end_of_batch"], before, limit)
    (row,) = await run(connection, SQL["remove_events"], ends[0]["published_at"] if ends else before)
    return int(row["removed"]), bool(ends)


def _view(row: Mapping[Any, Any]) -> EventView:
    return EventView(**row)


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}
