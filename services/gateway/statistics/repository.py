"""Statistics in the database: the rollups, and what no scheduler has counted yet."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from services.gateway.statistics.wire import Period
from shared.database.statements import load_statements
from shared.models import Agent
from shared.vocabulary.limits import TOTAL_MAX

SQL = load_statements("services.gateway.statistics", "sql/statistics.sql")

EVERYTHING = UUID(int=(1 << 128) - 1)


class Subject(msgspec.Struct, frozen=True):
    """A task, an agent, or, where both are None, everything."""

    task_id: UUID | None = None
    agent_id: UUID | None = None

    @property
    def id(self) -> UUID:
        return self.task_id or self.agent_id or EVERYTHING


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """`executions` and `latenesses` are histograms."""

    succeeded: int
    failed: int
    dead: int
    canceled: int
    skipped: int
    expired: int
    begun: int
    executed: int
    execution_us: int
    lateness_us: int
    executions: list[int]
    latenesses: list[int]


class Newest(msgspec.Struct, frozen=True):
    at: datetime
    run_id: UUID


async def sum_up(connection: AsyncConnection, subject: Subject, period: Period) -> Sums:
    asked = (subject.id, period.since, period.until, subject.task_id, subject.agent_id)
    (row,) = await run(connection, SQL["sum_up"], *asked)
    return Sums(**_named(row))


async def find_newest(connection: AsyncConnection, subject: Subject) -> Mapping[str, Newest]:
    """By kind: `run`, `success`, `failure`, as far as there is one."""
    rows = await run(connection, SQL["find_newest"], subject.id, subject.task_id, subject.agent_id)
    return {row["kind"]: Newest(row["at"], row["run_id"]) for row in rows}


async def count_tasks(connection: AsyncConnection, agent_id: UUID | None, period: Period) -> int:
    """Those of which a run was begun and ended; one more than the most that is shown says that there are more."""
    asked = (period.since, period.until, TOTAL_MAX + 1)
    if agent_id is None:
        rows = await run(connection, SQL["count_tasks"], *asked)
    else:
        rows = await run(connection, SQL["count_tasks_of_agent"], *asked, agent_id)
    counted: int = rows[0]["tasks"]
    return counted


async def agent_exists(connection: AsyncConnection, agent_id: UUID) -> bool:
    return await connection.scalar(select(Agent.id).where(Agent.id == agent_id)) is not None


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}
