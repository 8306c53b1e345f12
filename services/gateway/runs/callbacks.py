"""What the target of a step tells while the run waits for it: it is done, has failed, still works, or what it does."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.service import unauthenticated
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.runs import repository
from services.gateway.runs.service import no_such_run, run_finished
from services.gateway.runs.steps import extend_step, lock_run, settle_step
from services.gateway.runs.wire import CompleteStep, Extended, FailStep, Heartbeat, Logged, OfStep, WriteLog
from services.gateway.secrets.echoes import Echoes
from shared.streams.doorbell import Bell
from shared.vocabulary.faults import Conflict, invalid_field
from shared.vocabulary.limits import LOG_LINE_BYTES
from shared.vocabulary.states import ErrorClass, StepStatus, WaitKind


class Callbacks:
    """Of the bearer of a step's token, and of the agent whose run it is. Whatever is told twice is answered twice, and
    stored without the secrets that the run was given."""

    def __init__(self, echoes: Echoes) -> None:
        self._echoes = echoes

    async def complete(self, connection: AsyncConnection, act: Act, run_id: UUID, told: CompleteStep) -> ActionDone:
        step_id = await _step_of(connection, act, run_id, told)
        redactor = await self._echoes.redactor_of(connection, run_id)
        return await _settle(connection, act, run_id, step_id, redactor.value(told.output))

    async def fail(self, connection: AsyncConnection, act: Act, run_id: UUID, told: FailStep) -> ActionDone:
        step_id = await _step_of(connection, act, run_id, told)
        redactor = await self._echoes.redactor_of(connection, run_id)
        error = {"class": ErrorClass.TOOL, "message": redactor.text(told.message), "retryable": told.retryable}
        return await _settle(connection, act, run_id, step_id, redactor.value(told.output), error=error)

    async def heartbeat(self, connection: AsyncConnection, act: Act, run_id: UUID, told: Heartbeat) -> Extended:
        step_id = await _step_of(connection, act, run_id, told)
        progress = told.progress
        if progress is not None:
            progress = (await self._echoes.redactor_of(connection, run_id)).value(progress)
        deadline_at = await extend_step(connection, run_id, step_id, told.extend_seconds, progress=progress)
        if deadline_at is not None:
            return Extended(deadline_at)
        found = await repository.find_step(connection, run_id, step_id, None, None)
        is_begun = found.get("is_settled", False) or found.get("is_waiting", False)
        await _check_unfinished(connection, run_id)
        if is_begun or act.run_token is None:
            raise _not_waiting(found)
        return Extended(None)

    async def log(self, connection: AsyncConnection, act: Act, run_id: UUID, told: WriteLog) -> Logged:
        lines = _lines_of(told)
        await _check_speaks_for(connection, act, run_id)
        if not await lock_run(connection, run_id):
            await _check_unfinished(connection, run_id)
        redactor = await self._echoes.redactor_of(connection, run_id)
        kept = await repository.insert_log(connection, run_id, [(level, redactor.text(text)) for level, text in lines])
        return Logged(kept, len(lines) - kept)


async def _settle(
    connection: AsyncConnection,
    act: Act,
    run_id: UUID,
    step_id: str,
    output: object,
    *,
    error: Mapping[str, Any] | None = None,
) -> ActionDone:
    status = StepStatus.SUCCEEDED if error is None else StepStatus.FAILED
    details = {"run_id": run_id, "step_id": step_id, "status": status}
    is_known = act.run_token is not None
    kinds = (WaitKind.CALLBACK,)
    if await settle_step(connection, run_id, step_id, output=output, error=error, kinds=kinds, is_known=is_known):
        act.ring(Bell.DUE_WORK)
        if act.run_token is None:
            # What its target tells is the step's own outcome; an agent takes the target's place.
            action = Action.RUN_STEP_COMPLETED if error is None else Action.RUN_STEP_FAILED
            await record(connection, act, action, run_id, {"step_id": step_id})
        return ActionDone(f"The step has {status}.", details)
    found = await repository.find_step(connection, run_id, step_id, output, error)
    if not found.get("is_same"):
        await _check_unfinished(connection, run_id)
        raise _not_waiting(found)
    return ActionDone(f"The step has {status} already.", details)


async def _step_of(connection: AsyncConnection, act: Act, run_id: UUID, told: OfStep) -> str:
    """Which step is meant. Raises NotFound, Invalid or Conflict where that cannot be known."""
    await _check_speaks_for(connection, act, run_id)
    if act.run_token is not None:
        if told.step_id not in (None, act.run_token.step_id):
            raise invalid_field("step_id", "The token speaks for another step.", "other_step")
        return act.run_token.step_id
    if told.step_id is not None:
        return told.step_id
    steps = await repository.find_callbacks(connection, run_id)
    candidates = [step_id for step_id, is_waiting in steps.items() if is_waiting] or [*steps]
    if len(candidates) > 1:
        raise invalid_field("step_id", f"Several steps wait: {', '.join(sorted(candidates)[:10])}.", "required")
    if not candidates:
        await _check_unfinished(connection, run_id)
        raise _not_waiting({})
    return candidates[0]


async def _check_speaks_for(connection: AsyncConnection, act: Act, run_id: UUID) -> None:
    """A token speaks for its own run only, while the agent that owns it may act; an agent for those that it owns."""
    if act.run_token is not None:
        if act.run_token.run_id != run_id or await repository.is_owner_disabled(connection, run_id):
            raise unauthenticated()
    elif await repository.find_status(connection, run_id, act.caller.owner_filter) is None:
        raise no_such_run()


async def _check_unfinished(connection: AsyncConnection, run_id: UUID) -> None:
    found = await repository.find_status(connection, run_id, None)
    if found is None:
        raise no_such_run()
    if found[0].is_final:
        raise run_finished(found[0])


def _not_waiting(step: Mapping[str, bool]) -> Conflict:
    """`step` as `find_step` gave it."""
    if step.get("is_late"):
        return Conflict("The step has waited as long as it might.", error_code="wait_expired")
    if step.get("is_settled"):
        return Conflict("What became of the step is known already, and differs.", error_code="step_settled")
    return Conflict("No such step of this run waits for its target.", error_code="step_not_waiting")


def _lines_of(told: WriteLog) -> list[tuple[str, str]]:
    """Each with its level. Raises Invalid for neither form, both at once, or a line that is too long."""
    if (told.message is None) == (told.lines is None) or (told.lines is not None and told.level is not None):
        raise invalid_field("message", "Give either one message with its level, or lines.", "required")
    given = [("message", told.level or "info", told.message or "")]
    if told.lines is not None:
        given = [(f"lines[{place}].message", each.level, each.message) for place, each in enumerate(told.lines)]
    for field, _, text in given:
        if len(text.encode()) > LOG_LINE_BYTES:
            raise invalid_field(field, f"A line has at most {LOG_LINE_BYTES} bytes.", "too_long")
    return [(level, text) for _, level, text in given]
