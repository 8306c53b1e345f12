"""What the database knows of a task's occurrences."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.schedules.facts import Change, Facts, Run, Waiting
from shared.database.statements import load_statements
from shared.timing.occurrences import Planned
from shared.vocabulary.ids import first_uuid7_at

SQL = load_statements("services.gateway.schedules", "sql/schedules.sql")
# More of these than anybody looks through.
ROWS_MAX = 1000
CHANGES_MAX = 200
MILLISECOND = timedelta(milliseconds=1)


async def find_schedule(connection: AsyncConnection, task_id: UUID, owner: UUID | None) -> dict[str, Any] | None:
    """The columns of a task that decide on its occurrences, with those of its cursor. `owner` None: whoever owns it."""
    for row in await run(connection, SQL["find_schedule"], task_id, owner):
        return {**row, "exclusions": msgspec.json.decode(row["exclusions"])}
    return None


async def list_waiting(connection: AsyncConnection, task_id: UUID) -> list[Waiting]:
    return [Waiting(**row) for row in await run(connection, SQL["list_waiting"], task_id, ROWS_MAX)]


async def list_skips(connection: AsyncConnection, task_id: UUID, start: datetime) -> list[Planned]:
    """The occurrences from `start` on that somebody asked to skip."""
    rows = await run(connection, SQL["list_skips_ahead"], task_id, first_uuid7_at(start), ROWS_MAX)
    return [Planned(row["id"], row["scheduled_for"], row["scheduled_for"]) for row in rows]


async def find_facts(connection: AsyncConnection, task_id: UUID, at: datetime, limit: int) -> Facts:
    """`limit` runs on each side of `at`. An id begins with the milliseconds of its time."""
    bound = first_uuid7_at(at + MILLISECOND)
    rows = [
        *await run(connection, SQL["list_runs_until"], task_id, bound, limit),
        *await run(connection, SQL["list_runs_from"], task_id, bound, limit),
    ]
    runs = [Run(**{**row, "error": msgspec.json.decode(row["error"] or b"null")}) for row in rows]
    history = await run(connection, SQL["list_history"], str(task_id), CHANGES_MAX)
    changes = [Change(row["at"], row["action"], msgspec.json.decode(row["details"])) for row in history]
    return Facts(runs, await list_waiting(connection, task_id), changes[::-1])
