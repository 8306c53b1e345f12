"""Agents in the database."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.wire import AgentLimits, AgentView
from services.gateway.database import violated_constraint
from shared.models import Agent
from shared.vocabulary.faults import Conflict

NAME_TAKEN = "agent_name_key_key"
VIEW = [getattr(Agent, name) for name in AgentView.__struct_fields__]


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
        if violated_constraint(error) == NAME_TAKEN:
            message = "There is an agent with this name, or with one that looks the same."
            raise Conflict(message, error_code="already_exists") from error
        raise
    return AgentView(**row)


async def find_agent(connection: AsyncConnection, agent_id: UUID) -> AgentView | None:
    row = (await connection.execute(select(*VIEW).where(Agent.id == agent_id))).mappings().first()
    return None if row is None else AgentView(**row)


async def find_agent_by_key(connection: AsyncConnection, name_key: str) -> AgentView | None:
    row = (await connection.execute(select(*VIEW).where(Agent.name_key == name_key))).mappings().first()
    return None if row is None else AgentView(**row)


async def list_agents(
    connection: AsyncConnection, only: UUID | None, limit: int, offset: int
) -> tuple[list[AgentView], int]:
    """Newest first, and how many there are. `only` None: everybody."""
    total = await connection.scalar(_visible(select(func.count()).select_from(Agent), only))
    query = _visible(select(*VIEW), only).order_by(Agent.id.desc()).limit(limit).offset(offset)
    return [AgentView(**row) for row in (await connection.execute(query)).mappings()], total or 0


def _visible(query: Select[Any], only: UUID | None) -> Select[Any]:
    return query if only is None else query.where(Agent.id == only)
