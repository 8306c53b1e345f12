"""Tokens in the database."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity, StoredToken
from services.gateway.database import run
from shared.database.statements import load_statements
from shared.tasks.quotas import OwnLimits

SQL = load_statements("services.gateway.auth", "sql/tokens.sql")


async def find_token(connection: AsyncConnection, key_id: str) -> StoredToken | None:
    for row in await run(connection, SQL["find_token"], key_id):
        limits = msgspec.json.decode(row["limits"], type=OwnLimits)
        identity = Identity(row["agent_id"], row["name"], frozenset(row["scopes"]), limits, key_id)
        return StoredToken(row["secret_hash"], row["is_valid"], row["is_use_unrecorded"], identity, row["seconds_left"])
    return None


async def record_use(connection: AsyncConnection, key_id: str) -> None:
    await run(connection, SQL["record_use"], key_id)


async def insert_token(
    connection: AsyncConnection,
    *,
    key_id: str,
    agent_id: UUID,
    secret_hash: bytes,
    label: str,
    days: int,
    expires_at: datetime | None,
) -> datetime:
    """When the token expires: after so many days, unless `expires_at` says it."""
    rows = await run(connection, SQL["insert_token"], key_id, agent_id, secret_hash, label, days, expires_at)
    lasts_until: datetime = rows[0]["expires_at"]
    return lasts_until
