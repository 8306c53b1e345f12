"""Agents in the database."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.wire import AgentFilter, AgentLimits, AgentView, OwnToken, StoredAgent, Usage
from services.gateway.database import run, violated_constraint
from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import Key, Sorts, find_page
from shared.database.statements import load_statements
from shared.models import Agent
from shared.vocabulary.faults import Conflict
from shared.vocabulary.names import name_key as key_of
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import AgentStatus

SQL = load_statements("services.gateway.agents", "sql/agents.sql")

NAME_TAKEN = "agent_name_key_key"
# Any number, as long as every change of who is an admin uses the same.
ADMINS_LOCK = 0x70616F02
VIEW = [getattr(Agent, name) for name in AgentView.__struct_fields__]
IS_THERE = Agent.deleted_at.is_(None)
SORTS: Sorts = {
    "created_at": (Key(Agent.__table__.c.created_at, datetime), Key(Agent.__table__.c.id, UUID)),
    "name": (Key(Agent.__table__.c.name_key, str), Key(Agent.__table__.c.id, UUID)),
}


async def insert_agent(
    connection: AsyncConnection,
    *,
    agent_id: UUID,
    name: str,
    name_key: str,
    scopes: Sequence[str],
    webhook_url: str | None,
    limits: AgentLimits,
) -> AgentView:
    values = {
        "id": agent_id,
        "name": name,
        "name_key": name_key,
        "scopes": [*scopes],
        "webhook_url": webhook_url,
        "limits": msgspec.to_builtins(limits),
    }
    try:
        row = (await connection.execute(insert(Agent).values(values).returning(*VIEW))).mappings().one()
    except IntegrityError as error:
        raise _fault_of(error) from error
    return AgentView(**row)


async def find_agent(connection: AsyncConnection, agent_id: UUID) -> AgentView | None:
    row = (await connection.execute(select(*VIEW).where(Agent.id == agent_id, IS_THERE))).mappings().first()
    return None if row is None else AgentView(**row)


async def find_agent_by_key(connection: AsyncConnection, name_key: str) -> AgentView | None:
    row = (await connection.execute(select(*VIEW).where(Agent.name_key == name_key))).mappings().first()
    return None if row is None else AgentView(**row)


async def list_agents(
    connection: AsyncConnection, only: UUID | None, filters: AgentFilter, request: PageRequest
) -> Found[AgentView]:
    """`only` None: everybody."""
    query = select(*VIEW).where(IS_THERE, *_conditions(only, filters))
    return await find_page(connection, query, SORTS, request, lambda row: AgentView(**row))


async def lock_admins(connection: AsyncConnection) -> None:
    """Until the transaction ends nobody else changes who is an admin. Before the rows of agents, as everybody does."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADMINS_LOCK})


async def lock_agents(connection: AsyncConnection, agent_ids: Sequence[UUID]) -> dict[UUID, StoredAgent]:
    """Those that there are, in the order of their ids. Whoever creates a task waits, whoever refers to one does not."""
    rows = await run(connection, SQL["lock_agents"], [*agent_ids])
    return {row["id"]: _stored(row) for row in rows}


async def has_other_admin(connection: AsyncConnection, agent_id: UUID) -> bool:
    query = select(Agent.id).where(
        Agent.id != agent_id, Agent.scopes.contains([Scope.ADMIN]), Agent.status == AgentStatus.ACTIVE, IS_THERE
    )
    return await connection.scalar(query.limit(1)) is not None


async def update_agent(connection: AsyncConnection, agent_id: UUID, values: Mapping[str, Any]) -> AgentView:
    """One version further."""
    stamped = {**values, "version": Agent.version + 1, "updated_at": func.now()}
    query = update(Agent).where(Agent.id == agent_id).values(stamped).returning(*VIEW)
    try:
        row = (await connection.execute(query)).mappings().one()
    except IntegrityError as error:
        raise _fault_of(error) from error
    return AgentView(**row)


async def count_runs_from_now(connection: AsyncConnection, agent_id: UUID, runs_per_day: int, midnight: UUID) -> None:
    """Those of today that have begun already count; `midnight` is the first id of the day."""
    await run(connection, SQL["count_runs_from_now"], agent_id, runs_per_day, midnight)


async def find_own_token(connection: AsyncConnection, key_id: str) -> OwnToken | None:
    for row in await run(connection, SQL["find_own_token"], key_id):
        return OwnToken(row["key_id"], row["label"], row["expires_at"])
    return None


async def measure_usage(connection: AsyncConnection, agent_id: UUID, tasks_max: int) -> Usage:
    """Active tasks are counted no further than `tasks_max`."""
    (row,) = await run(connection, SQL["measure_usage"], agent_id, tasks_max)
    return Usage(row["active_tasks"], row["runs_today"])


def _conditions(only: UUID | None, filters: AgentFilter) -> Iterator[ColumnElement[bool]]:
    if only is not None:
        yield Agent.id == only
    if filters.name_filter is not None:
        yield Agent.name_key.contains(key_of(filters.name_filter), autoescape=True)
    if filters.scope_filter is not None:
        yield Agent.scopes.contains([filters.scope_filter])
    if filters.status is not None:
        yield Agent.status == filters.status


def _stored(row: Mapping[Any, Any]) -> StoredAgent:
    columns = {name: row[name] for name in StoredAgent.__struct_fields__}
    return StoredAgent(
        **{**columns, "limits": msgspec.json.decode(row["limits"]), "status": AgentStatus(row["status"])}
    )


def _fault_of(error: IntegrityError) -> Conflict | IntegrityError:
    if violated_constraint(error) != NAME_TAKEN:
        return error
    message = "There is an agent with this name, or with one that looks the same."
    return Conflict(message, error_code="already_exists")
