"""The tool `approval.request`: stores what is to be decided, and answers from what was decided."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from services.executor.tools.base import StepContext, ToolFault, Waiting
from services.executor.tools.checked import checked, lease_lost
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.tools.approval_request import APPROVAL_REQUEST, ApprovalRequestInput
from shared.vocabulary.approvals import Decision, Terms, rejection, terms_kept
from shared.vocabulary.ids import id_of_step
from shared.vocabulary.states import ApprovalStatus, ErrorClass, WaitKind

SQL = load_statements("services.executor", "sql/approvals.sql")


class Standing(msgspec.Struct, frozen=True):
    """How a request stands."""

    status: ApprovalStatus
    decided_by: str | None
    decided_at: datetime | None
    note: str | None


class Requested(Standing, frozen=True):
    """What `request_approval` tells."""

    is_leased: bool
    remaining_seconds: float


class ApprovalRequest:
    """Called again for the same step, it requests nothing twice."""

    spec = APPROVAL_REQUEST

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        wanted = checked(arguments, APPROVAL_REQUEST, ApprovalRequestInput)
        approval_id = id_of_step(context.run_id, context.step_id)
        found = await self._request(approval_id, wanted, context)
        if not found.is_leased:
            raise lease_lost()
        if found.status is ApprovalStatus.PENDING and found.remaining_seconds > 0:
            return Waiting(WaitKind.APPROVAL, found.remaining_seconds, {"approval_id": str(approval_id)})
        return outcome_of(await self._settled(approval_id), wanted)

    async def close(self) -> None:
        """The pool belongs to the executor."""

    async def _request(self, approval_id: UUID, wanted: ApprovalRequestInput, context: StepContext) -> Requested:
        arguments = (
            *(approval_id, context.run_id, context.fence, context.step_id, wanted.prompt),
            *(terms_kept(Terms(wanted.details, wanted.on_reject)), float(wanted.timeout_seconds)),
        )
        rows = await retry_transient(
            lambda: self._pool.fetch(SQL["request_approval"].sql, *arguments), name="request_approval"
        )
        return msgspec.convert(dict(rows[0]), Requested)

    async def _settled(self, approval_id: UUID) -> Standing:
        rows = await retry_transient(
            lambda: self._pool.fetch(SQL["expire_approval"].sql, approval_id), name="expire_approval"
        )
        return msgspec.convert(dict(rows[0]), Standing)


def outcome_of(standing: Standing, wanted: ApprovalRequestInput) -> dict[str, object]:
    """The step's output; raises ToolFault for what fails it."""
    status = standing.status
    if status is ApprovalStatus.EXPIRED:
        status = _decided_by_time(wanted)
    if status is ApprovalStatus.REJECTED and wanted.on_reject == "fail":
        raise ToolFault(ErrorClass.TOOL, rejection(standing.decided_by, standing.note))
    return Decision(status, standing.decided_by, standing.decided_at, standing.note).output()


def _decided_by_time(wanted: ApprovalRequestInput) -> ApprovalStatus:
    match wanted.on_timeout:
        case "approve":
            return ApprovalStatus.APPROVED
        case "reject":
            return ApprovalStatus.REJECTED
        case "fail":
            raise ToolFault(ErrorClass.TIMEOUT, f"Nobody decided within {wanted.timeout_seconds} s.")
