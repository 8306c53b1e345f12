"""`/runs/{run_id}/…` for the targets of steps, each with the token that it was given."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias
from uuid import UUID

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import run_token_or
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.replies import ActionDone, Reply, reply
from services.gateway.runs.callbacks import Callbacks
from services.gateway.runs.wire import CompleteStep, Extended, FailStep, Heartbeat, Logged, WriteLog
from shared.vocabulary.scopes import Scope

Told: TypeAlias = NamedDependency[Callbacks]

OF_STEP = run_token_or(Scope.TASKS_WRITE)


class CallbackController(Controller):
    path = "/runs/{run_id:uuid}"
    tags = ("callbacks",)

    @post(
        "/complete",
        opt=OF_STEP
        | fails("run_finished", "step_not_waiting", "step_settled", "wait_expired", "other_step", "payload_too_large"),
        status_code=200,
        summary="Give a step its output",
    )
    async def complete_step(
        self,
        act: CurrentAct,
        callbacks: Told,
        run_id: FromPath[UUID],
        data: JSONBody[CompleteStep | None] = None,
    ) -> Response[ActionDone]:
        """The run goes on. Telling the same again is answered the same."""
        told = data or CompleteStep()
        return await _told(act, lambda connection: callbacks.complete(connection, act, run_id, told))

    @post(
        "/fail",
        opt=OF_STEP
        | fails("run_finished", "step_not_waiting", "step_settled", "wait_expired", "other_step", "payload_too_large"),
        status_code=200,
        summary="Let a step fail",
    )
    async def fail_step(
        self, act: CurrentAct, callbacks: Told, run_id: FromPath[UUID], data: JSONBody[FailStep]
    ) -> Response[ActionDone]:
        """What that means to the run is for the step to say: `on_error`, and its retries of a retryable failure."""
        return await _told(act, lambda connection: callbacks.fail(connection, act, run_id, data))

    @post(
        "/heartbeat",
        opt=OF_STEP
        | fails("run_finished", "step_not_waiting", "step_settled", "wait_expired", "other_step", "payload_too_large"),
        status_code=200,
        summary="Let a step wait longer",
    )
    async def extend_wait(
        self, act: CurrentAct, callbacks: Told, run_id: FromPath[UUID], data: JSONBody[Heartbeat | None] = None
    ) -> Response[Extended]:
        """Counted from now. `progress` is shown until the step has its output."""
        told = data or Heartbeat()
        return await _told(act, lambda connection: callbacks.heartbeat(connection, act, run_id, told))

    @post(
        "/log",
        opt=OF_STEP | fails("run_finished", "other_step"),
        status_code=200,
        summary="Add lines to the log of a run",
    )
    async def write_log(
        self, act: CurrentAct, callbacks: Told, run_id: FromPath[UUID], data: JSONBody[WriteLog]
    ) -> Response[Logged]:
        """One or several. A run keeps 1,000 lines of up to 4 KiB."""
        return await _told(act, lambda connection: callbacks.log(connection, act, run_id, data))


async def _told(act: Act, what: Callable[[AsyncConnection], Awaitable[object]]) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await what(connection))

    return await act.write(change)
