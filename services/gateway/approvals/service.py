"""What can be done with requests for approval."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.approvals import repository
from services.gateway.approvals.repository import Asked
from services.gateway.approvals.wire import ApprovalView
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.runs.steps import lock_run, settle_step
from shared.streams.doorbell import Bell
from shared.vocabulary.approvals import Decision, rejection
from shared.vocabulary.faults import Conflict, NotFound
from shared.vocabulary.states import ApprovalStatus, ErrorClass, WaitKind

ACTIONS = {
    ApprovalStatus.APPROVED: Action.APPROVAL_APPROVED,
    ApprovalStatus.REJECTED: Action.APPROVAL_REJECTED,
}


class ApprovalService:
    async def find(self, connection: AsyncConnection, caller: Identity, approval_id: UUID) -> ApprovalView:
        view = await repository.show(connection, approval_id, caller.owner_filter)
        if view is None:
            raise _no_such_approval()
        return view

    async def list(
        self, connection: AsyncConnection, caller: Identity, status: ApprovalStatus | None, limit: int, offset: int
    ) -> tuple[list[ApprovalView], int]:
        return await repository.list_approvals(connection, caller.owner_filter, status, limit, offset)

    async def decide(
        self, connection: AsyncConnection, act: Act, approval_id: UUID, decision: ApprovalStatus, note: str | None
    ) -> ActionDone:
        """Of whoever is first. The step goes on with it in the same transaction."""
        asked = await _asked(connection, act, approval_id)
        # The run before the request, as everywhere: so nobody waits in a circle.
        is_run_open = await lock_run(connection, asked.run_id)
        decided_at = await repository.decide(connection, approval_id, decision, act.caller.name, note)
        if decided_at is None:
            return _as_before(approval_id, await _asked(connection, act, approval_id), decision)
        settled = Decision(decision, act.caller.name, decided_at, note)
        if not is_run_open or not await _settle(connection, asked, settled):
            raise Conflict("The run does not wait for this decision any longer.", error_code="run_not_waiting")
        await record(connection, act, ACTIONS[decision], approval_id, _told(asked, note))
        act.ring(Bell.DUE_WORK)
        return _done(f"The request is {decision}.", approval_id, asked, decision)


async def _asked(connection: AsyncConnection, act: Act, approval_id: UUID) -> Asked:
    asked = await repository.find(connection, approval_id, act.caller.owner_filter)
    if asked is None:
        raise _no_such_approval()
    return asked


async def _settle(connection: AsyncConnection, asked: Asked, decision: Decision) -> bool:
    kinds = (WaitKind.APPROVAL,)
    if decision.decision is ApprovalStatus.REJECTED and asked.terms.on_reject == "fail":
        message = rejection(decision.decided_by, decision.note)
        error = {"class": ErrorClass.TOOL.value, "message": message, "retryable": False}
        return await settle_step(connection, asked.run_id, asked.step_id, error=error, kinds=kinds)
    return await settle_step(connection, asked.run_id, asked.step_id, output=decision.output(), kinds=kinds)


def _as_before(approval_id: UUID, asked: Asked, decision: ApprovalStatus) -> ActionDone:
    """Decided twice the same way: what was done is said again."""
    if asked.status is decision:
        return _done(f"The request is {decision} already.", approval_id, asked, decision)
    if asked.status in ACTIONS:
        raise Conflict(f"The request is {asked.status} already.", error_code="already_decided")
    raise Conflict("Nobody decided in time.", error_code="approval_expired")


def _done(message: str, approval_id: UUID, asked: Asked, decision: ApprovalStatus) -> ActionDone:
    return ActionDone(message, {"id": approval_id, "status": decision, "run_id": asked.run_id})


def _told(asked: Asked, note: str | None) -> dict[str, object]:
    return {"run_id": str(asked.run_id), "step_id": asked.step_id, "note": note}


def _no_such_approval() -> NotFound:
    return NotFound("There is no such request for approval.")
