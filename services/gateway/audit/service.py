"""Writes the trail: always in the transaction of the change that it tells of."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.repository import insert_entry
from services.gateway.audit.wire import Action, Entry
from services.gateway.http.act import Act


async def record(
    connection: AsyncConnection, act: Act, action: Action, subject_id: UUID | str, details: Mapping[str, Any]
) -> None:
    caller = act.caller
    subject_type = action.partition(".")[0]
    entry = Entry(caller.agent_id, caller.name, action, subject_type, subject_id, details, act.request_id, act.trace_id)
    await insert_entry(connection, entry)
