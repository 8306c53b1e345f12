"""What belongs to an agent, in the database: counted, handed over, removed with it."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run, violated_constraint
from services.gateway.http.act import Act
from services.gateway.secrets.references import reference_pattern
from shared.database.statements import load_statements
from shared.tasks.creating import DEDUPE_KEY_TAKEN, dedupe_key_taken
from shared.tasks.creating import SQL as TASK_SQL

SQL = load_statements("services.gateway.agents", "sql/leaving.sql")

ANY_SECRET = reference_pattern(r"\w+")
COUNTED_MAX = 10_000


class Belongings(msgspec.Struct, frozen=True):
    """Tasks that will run, work that has no outcome yet, messages that nobody has settled."""

    tasks: int
    runs: int
    messages: int

    @property
    def are_none(self) -> bool:
        return self.tasks == self.runs == self.messages == 0


class Estate(msgspec.Struct, frozen=True):
    """Locked tasks with their work. `secretive`: those that mention a secret."""

    tasks: Sequence[UUID]
    work: Sequence[UUID]
    active: int
    waits_for_events: bool
    secretive: Sequence[UUID]


class Deleted(msgspec.Struct, frozen=True):
    tokens: int
    secrets: Sequence[str]


async def measure_belongings(connection: AsyncConnection, agent_id: UUID) -> Belongings:
    (row,) = await run(connection, SQL["measure_belongings"], agent_id, COUNTED_MAX)
    return Belongings(row["tasks"], row["runs"], row["messages"])


async def lock_estate(connection: AsyncConnection, agent_id: UUID) -> Estate:
    """Nobody else changes these tasks, or makes work of them, until the transaction ends."""
    rows = await run(connection, SQL["lock_tasks_to_hand_over"], agent_id, ANY_SECRET)
    tasks = [row["id"] for row in rows]
    await run(connection, SQL["lock_cursors_to_hand_over"], tasks)
    work = [row["id"] for row in await run(connection, SQL["lock_work_to_hand_over"], tasks)]
    return Estate(
        tasks,
        work,
        sum(row["is_active"] for row in rows),
        any(row["waits_for_events"] for row in rows),
        [row["id"] for row in rows if row["uses_secret"]],
    )


async def find_shared_keys(connection: AsyncConnection, estate: Estate, heir_id: UUID) -> list[str]:
    """The first few."""
    return [row["dedupe_key"] for row in await run(connection, SQL["find_shared_keys"], [*estate.tasks], heir_id)]


async def count_active_tasks(connection: AsyncConnection, agent_id: UUID, up_to: int) -> int:
    (row,) = await run(connection, TASK_SQL["count_active_tasks"], agent_id, up_to)
    return int(row["tasks"])


async def hand_over(connection: AsyncConnection, act: Act, agent_id: UUID, heir_id: UUID, estate: Estate) -> Belongings:
    """What was handed over."""
    caller = act.caller
    told = (caller.agent_id, caller.name, act.request_id, act.trace_id)
    try:
        (row,) = await run(connection, SQL["hand_over"], agent_id, heir_id, [*estate.tasks], [*estate.work], *told)
    except asyncpg.UniqueViolationError as error:
        raise (dedupe_key_taken() if violated_constraint(error) == DEDUPE_KEY_TAKEN else error) from error
    return Belongings(row["tasks"], row["runs"], row["messages"])


async def delete_agent(connection: AsyncConnection, agent_id: UUID) -> Deleted:
    (row,) = await run(connection, SQL["delete_agent"], agent_id)
    return Deleted(row["tokens"], row["secrets"])
