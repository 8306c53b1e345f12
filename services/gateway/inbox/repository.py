"""Inboxes in the database."""

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.inbox.wire import InboxItem
from shared.database.statements import load_statements
from shared.vocabulary.states import SettledAs

SQL = load_statements("services.gateway.inbox", "sql/inbox.sql")


class Spent(msgspec.Struct, frozen=True):
    """A message that was settled because nobody will have it any more."""

    run_id: UUID | None
    step_id: str | None
    is_awaited: bool
    settled_as: SettledAs
    deliveries: int


class Held(msgspec.Struct, frozen=True):
    """How a message stands. `is_expired`: the run that waited for it does so no longer."""

    run_id: UUID | None
    step_id: str | None
    is_awaited: bool
    fence: int
    settled_as: SettledAs | None
    is_expired: bool


async def claim(connection: AsyncConnection, agent_id: UUID, limit: int, visibility_seconds: int) -> list[InboxItem]:
    rows = await run(connection, SQL["claim_messages"], agent_id, limit, float(visibility_seconds))
    return [InboxItem(**row) for row in rows]


async def find_spent(connection: AsyncConnection, agent_id: UUID) -> Mapping[UUID, UUID | None]:
    """Their ids, each with the run that waits for it."""
    rows = await run(connection, SQL["find_spent_messages"], agent_id)
    return {row["id"]: row["awaiting_run_id"] for row in rows}


async def settle_spent(connection: AsyncConnection, message_ids: Collection[UUID]) -> list[Spent]:
    rows = await run(connection, SQL["settle_spent_messages"], [*message_ids])
    return [Spent(**{**row, "settled_as": SettledAs(row["settled_as"])}) for row in rows]


async def find(connection: AsyncConnection, message_id: UUID, agent_id: UUID) -> Held | None:
    for row in await run(connection, SQL["find_message"], message_id, agent_id):
        settled_as = row["settled_as"]
        return Held(**{**row, "settled_as": settled_as and SettledAs(settled_as)})
    return None


async def settle(connection: AsyncConnection, message_id: UUID, fence: int, settled_as: SettledAs) -> bool:
    """False: it is not, or not any more, with whoever shows this fence."""
    return bool(await run(connection, SQL["settle_message"], message_id, fence, settled_as))


async def move(connection: AsyncConnection, message_id: UUID, fence: int, seconds: int) -> datetime | None:
    """When it shows itself again; None as above."""
    for row in await run(connection, SQL["move_message"], message_id, fence, float(seconds)):
        visible_at: datetime = row["visible_at"]
        return visible_at
    return None


async def still_held(connection: AsyncConnection, held: Mapping[UUID, int]) -> dict[UUID, int]:
    """Which of these deliveries, as ids with fences, are neither settled nor visible again."""
    rows = await run(connection, SQL["messages_still_held"], [*held], [*held.values()])
    return {row["id"]: row["fence"] for row in rows}
