"""Events in the order of their publication."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.events.wire import EventView
from services.gateway.live.event_listener import CatchUp
from services.gateway.live.position import Position
from shared.database.statements import load_statements

SQL = load_statements("services.gateway.live", "sql/events.sql")


async def find_new(connection: AsyncConnection, since: Position) -> list[UUID]:
    rows = await run(connection, SQL["find_new_events"], since.xid, since.begun_since)
    return [row["id"] for row in rows]


async def read_events(connection: AsyncConnection, event_ids: Collection[UUID]) -> list[EventView]:
    return _views(await run(connection, SQL["read_events"], [*event_ids]))


async def list_after(connection: AsyncConnection, behind: CatchUp, topic: str | None, limit: int) -> list[EventView]:
    return _views(await run(connection, SQL["list_events_after"], behind.published_at, behind.id, topic, limit))


async def find_publication(connection: AsyncConnection, event_id: UUID) -> datetime | None:
    for row in await run(connection, SQL["find_publication"], event_id):
        published_at: datetime = row["published_at"]
        return published_at
    return None


def _views(rows: Iterable[Mapping[Any, Any]]) -> list[EventView]:
    return [_view(row) for row in rows]


def _view(row: Mapping[Any, Any]) -> EventView:
    """The payload goes out as it was stored."""
    attributes = msgspec.json.decode(row["attributes"] or "null")
    return EventView(
        **{
            **row,
            "payload": msgspec.Raw(row["payload"].encode()),
            "attributes": attributes,
            "is_payload_omitted": False,
        }
    )
