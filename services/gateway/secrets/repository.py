"""Secrets in the database: names and what is sealed, never a value."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.secrets.wire import SecretView
from shared.database.statements import load_statements
from shared.secrets.ring import Place, Sealed

SQL = load_statements("services.gateway.secrets", "sql/secrets.sql")


async def lock_secrets(connection: AsyncConnection, agent_id: UUID) -> None:
    """Until the transaction ends nobody else changes the agent's secrets."""
    await run(connection, SQL["lock_secrets"], agent_id)


async def find_secret(connection: AsyncConnection, agent_id: UUID, name: str) -> SecretView | None:
    rows = await run(connection, SQL["find_secret"], agent_id, name)
    return _view(rows[0]) if rows else None


async def list_secrets(
    connection: AsyncConnection, agent_id: UUID, limit: int, offset: int
) -> tuple[list[SecretView], int]:
    """By name, and how many there are."""
    rows = await run(connection, SQL["list_secrets"], agent_id, limit, offset)
    return [_view(row) for row in rows], await count_secrets(connection, agent_id)


async def count_secrets(connection: AsyncConnection, agent_id: UUID) -> int:
    rows = await run(connection, SQL["count_secrets"], agent_id)
    return int(rows[0]["total"])


async def measure_others(connection: AsyncConnection, agent_id: UUID, name: str) -> tuple[int, int]:
    """How many secrets the agent has beside this one, and their bytes together."""
    rows = await run(connection, SQL["measure_secrets"], agent_id, name)
    return int(rows[0]["total"]), int(rows[0]["bytes"])


async def find_secrets_of_run(
    connection: AsyncConnection, run_id: UUID, pattern: str, limit: int, bytes_max: int
) -> list[tuple[Place, Sealed]]:
    """What the run's task refers to, sealed; `pattern` as `reference_pattern(ANY_NAME)` makes it."""
    rows = await run(connection, SQL["find_secrets_of_run"], run_id, pattern, limit, bytes_max)
    return [
        (
            Place(row["agent_id"], row["name"], row["version"]),
            Sealed(row["key_id"], row["nonce"], row["ciphertext"]),
        )
        for row in rows
    ]


async def put_secret(connection: AsyncConnection, place: Place, sealed: Sealed) -> SecretView:
    rows = await run(
        connection,
        SQL["put_secret"],
        place.agent_id,
        place.name,
        place.version,
        sealed.key_id,
        sealed.nonce,
        sealed.ciphertext,
    )
    return _view(rows[0])


async def delete_secret(connection: AsyncConnection, agent_id: UUID, name: str) -> None:
    await run(connection, SQL["delete_secret"], agent_id, name)


async def find_tasks_that_use(connection: AsyncConnection, agent_id: UUID, pattern: str) -> tuple[list[UUID], int]:
    """The first few, and how many there are."""
    rows = await run(connection, SQL["find_tasks_that_use"], agent_id, pattern)
    return [row["id"] for row in rows], rows[0]["total"] if rows else 0


def _view(row: Mapping[str, Any]) -> SecretView:
    return SecretView(
        name=row["name"], version=row["version"], created_at=row["created_at"], updated_at=row["updated_at"]
    )
