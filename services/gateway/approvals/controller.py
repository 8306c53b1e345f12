"""`/approvals`."""

from typing import TypeAlias
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.approvals.service import ApprovalService
from services.gateway.approvals.wire import ApprovalView, DecisionOptions
from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.http.replies import ActionDone, Reply, reply
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import ApprovalStatus

Approvals: TypeAlias = NamedDependency[ApprovalService]
Options: TypeAlias = JSONBody[DecisionOptions | None]

READ, WRITE = requires(Scope.TASKS_READ), requires(Scope.TASKS_WRITE)


class ApprovalController(Controller):
    path = "/approvals"
    tags = ("approvals",)

    @get(opt=READ, summary="List requests for approval, newest first")
    async def list_approvals(
        self,
        *,
        act: CurrentAct,
        approvals: Approvals,
        status: FromQuery[ApprovalStatus | None] = None,
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
    ) -> Page[ApprovalView]:
        """Those of the caller's tasks; to an admin, those of all."""
        items, total = await act.read(lambda connection: approvals.list(connection, act.caller, status, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/{approval_id:uuid}", opt=READ, summary="Show a request for approval")
    async def get_approval(self, act: CurrentAct, approvals: Approvals, approval_id: FromPath[UUID]) -> ApprovalView:
        """What is asked, until when, and what was decided."""
        return await act.read(lambda connection: approvals.find(connection, act.caller, approval_id))

    @post(
        "/{approval_id:uuid}/approve",
        opt=WRITE | fails("already_decided", "approval_expired", "run_not_waiting"),
        status_code=200,
        summary="Approve: the run goes on",
    )
    async def approve(
        self, act: CurrentAct, approvals: Approvals, approval_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        """Deciding the same again is answered the same."""
        return await _decided(act, approvals, approval_id, ApprovalStatus.APPROVED, data)

    @post(
        "/{approval_id:uuid}/reject",
        opt=WRITE | fails("already_decided", "approval_expired", "run_not_waiting"),
        status_code=200,
        summary="Reject",
    )
    async def reject(
        self, act: CurrentAct, approvals: Approvals, approval_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        """The step fails, or goes on with the decision as its output, as the step says with `on_reject`."""
        return await _decided(act, approvals, approval_id, ApprovalStatus.REJECTED, data)


async def _decided(
    act: Act, approvals: ApprovalService, approval_id: UUID, decision: ApprovalStatus, options: DecisionOptions | None
) -> Response[ActionDone]:
    note = None if options is None else options.note

    async def change(connection: AsyncConnection) -> Reply:
        return reply(await approvals.decide(connection, act, approval_id, decision, note))

    return await act.write(change)
