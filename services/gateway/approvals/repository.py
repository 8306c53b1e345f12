"""Requests for approval in the database."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.approvals.wire import ApprovalView
from services.gateway.database import run
from shared.database.statements import load_statements
from shared.vocabulary.approvals import Terms
from shared.vocabulary.states import ApprovalStatus

SQL = load_statements("services.gateway.approvals", "sql/approvals.sql")


class Asked(msgspec.Struct, frozen=True):
    """What a decision needs to know."""

    run_id: UUID
    step_id: str
    terms: Terms
    status: ApprovalStatus


async def show(connection: AsyncConnection, approval_id: UUID, owner: UUID | None) -> ApprovalView | None:
    for row in await run(connection, SQL["show_approval"], approval_id, owner):
        return _view(row)
    return None


async def list_approvals(
    connection: AsyncConnection, owner: UUID | None, status: ApprovalStatus | None, limit: int, offset: int
) -> tuple[list[ApprovalView], int]:
    """Newest first, and how many there are."""
    total = (await run(connection, SQL["count_approvals"], owner, status))[0]["total"]
    if owner is None:
        rows = await run(connection, SQL["list_all_approvals"], status, limit, offset)
    else:
        rows = await run(connection, SQL["list_approvals"], owner, status, limit, offset)
    return [_view(row) for row in rows], total


async def find(connection: AsyncConnection, approval_id: UUID, owner: UUID | None) -> Asked | None:
    for row in await run(connection, SQL["find_approval"], approval_id, owner):
        return Asked(row["run_id"], row["step_id"], _terms(row), ApprovalStatus(row["status"]))
    return None


async def decide(
    connection: AsyncConnection, approval_id: UUID, status: ApprovalStatus, decided_by: str, note: str | None
) -> datetime | None:
    """When it was decided; None: it was decided or expired before."""
    for row in await run(connection, SQL["decide_approval"], approval_id, status, decided_by, note):
        decided_at: datetime = row["decided_at"]
        return decided_at
    return None


def _view(row: Mapping[str, Any]) -> ApprovalView:
    values: dict[str, Any] = {name: row[name] for name in ApprovalView.__struct_fields__}
    return ApprovalView(**{**values, "details": _terms(row).details, "status": ApprovalStatus(row["status"])})


def _terms(row: Mapping[str, Any]) -> Terms:
    return msgspec.json.decode(row["details"], type=Terms)
