"""The audit trail in the database."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.wire import Entry
from services.gateway.database import run, to_jsonb
from shared.database.statements import load_statements

SQL = load_statements("services.gateway.audit", "sql/audit.sql")


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
