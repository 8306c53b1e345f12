"""Single occurrences in the database: those that wait, and those that a cursor has yet to come to."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from shared.database.statements import load_statements
from shared.timing.occurrences import Planned, Plans
from shared.vocabulary.ids import first_uuid7_at
from shared.vocabulary.states import SkipReason

SQL = load_statements("services.gateway.tasks", "sql/occurrences.sql")


class Outcome(msgspec.Struct, frozen=True):
    status: str
    skip_reason: str | None
    is_final: bool


async def lock_pending(connection: AsyncConnection, task: Mapping[str, Any]) -> Planned | None:
    for row in await run(connection, SQL["lock_pending_work"], task["id"], task["now"]):
        return Planned(**row)
    return None


async def postpone(connection: AsyncConnection, run_id: UUID, run_at: datetime) -> None:
    await run(connection, SQL["postpone_work"], run_id, run_at)


async def insert_planned(
    connection: AsyncConnection, task: Mapping[str, Any], occurrence: Planned, run_at: datetime
) -> None:
    await run(
        connection,
        SQL["insert_planned_work"],
        occurrence.id,
        task["id"],
        task["agent_id"],
        task["schedule_rev"],
        occurrence.scheduled_for,
        run_at,
        task["priority"],
        task["concurrency_key"],
    )


async def is_started(connection: AsyncConnection, run_id: UUID, now: datetime) -> bool | None:
    """Whether an executor has it or had it; None when it does not wait. Nobody takes it from then on."""
    for row in await run(connection, SQL["lock_work"], run_id, now):
        return bool(row["is_started"])
    return None


async def find_outcome(connection: AsyncConnection, run_id: UUID) -> Outcome | None:
    for row in await run(connection, SQL["find_outcome"], run_id):
        return Outcome(**row)
    return None


async def skip(connection: AsyncConnection, task: Mapping[str, Any], run_id: UUID, scheduled_for: datetime) -> None:
    values = (run_id, task["id"], task["agent_id"], scheduled_for, task["now"])
    await run(connection, SQL["skip_occurrence"], *values)


async def record_missed(
    connection: AsyncConnection, task: Mapping[str, Any], missed: Sequence[Planned], reason: SkipReason
) -> None:
    await run(
        connection,
        SQL["record_missed"],
        [occurrence.id for occurrence in missed],
        [occurrence.scheduled_for for occurrence in missed],
        task["id"],
        task["agent_id"],
        reason,
        task["now"],
    )


async def settled_from(connection: AsyncConnection, task_id: UUID, start: datetime) -> set[UUID]:
    """The ids of occurrences from `start` on that wait already or have an outcome."""
    rows = await run(connection, SQL["list_settled"], task_id, first_uuid7_at(start))
    return {row["id"] for row in rows}


async def move_cursor(connection: AsyncConnection, task_id: UUID, next_at: datetime | None, passed: int) -> None:
    """Over `passed` occurrences; `next_at` None: nothing follows."""
    await run(connection, SQL["move_cursor"], task_id, next_at, passed)


async def carry_skips(connection: AsyncConnection, task: Mapping[str, Any], plans: Plans) -> None:
    """What was asked to be skipped stays skipped under a new revision, in which the same time has another identity."""
    now = task["now"]
    rows = await run(connection, SQL["list_skips_ahead"], task["id"], first_uuid7_at(now), now)
    if rows:
        renamed = [plans.identity(row["scheduled_for"]) for row in rows]
        await run(connection, SQL["rename_runs"], [row["id"] for row in rows], renamed)
