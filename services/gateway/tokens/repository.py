"""Tokens of agents in the database: what may be shown of them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.http.paging import Found, PageRequest
from services.gateway.listing import Key, Sorts, find_page
from services.gateway.tokens.wire import TokenStatus, TokenView
from shared.database.statements import load_statements
from shared.models import AgentToken

SQL = load_statements("services.gateway.tokens", "sql/tokens.sql")

STATUS = case(
    (AgentToken.revoked_at.is_not(None), TokenStatus.REVOKED.value),
    (AgentToken.expires_at <= func.now(), TokenStatus.EXPIRED.value),
    else_=TokenStatus.ACTIVE.value,
).label("status")
VIEW = [STATUS if name == "status" else getattr(AgentToken, name) for name in TokenView.__struct_fields__]
SORTS: Sorts = {
    "created_at": (Key(AgentToken.__table__.c.created_at, datetime), Key(AgentToken.__table__.c.key_id, str))
}


async def list_tokens(connection: AsyncConnection, agent_id: UUID, request: PageRequest) -> Found[TokenView]:
    query = select(*VIEW).where(AgentToken.agent_id == agent_id)
    return await find_page(connection, query, SORTS, request, _view)


async def lock_token(connection: AsyncConnection, agent_id: UUID, key_id: str) -> TokenView | None:
    for row in await run(connection, SQL["lock_token"], agent_id, key_id):
        return _view(row)
    return None


async def count_active_tokens(connection: AsyncConnection, agent_id: UUID) -> int:
    (row,) = await run(connection, SQL["count_active_tokens"], agent_id)
    return int(row["tokens"])


async def retire_token(connection: AsyncConnection, key_id: str, overlap_seconds: int) -> None:
    await run(connection, SQL["retire_token"], key_id, float(overlap_seconds))


async def revoke_token(connection: AsyncConnection, key_id: str) -> None:
    await run(connection, SQL["revoke_token"], key_id)


def _view(row: Mapping[Any, Any]) -> TokenView:
    return TokenView(**{**row, "status": TokenStatus(row["status"])})
