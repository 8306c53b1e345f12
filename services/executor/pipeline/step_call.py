"""One call of one tool: noted before, made, noted after."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from services.executor.journal import Journal, StepRecord
from services.executor.outcome import Failed, Parked
from services.executor.pipeline.program import StepProgram
from services.executor.tools.base import StepContext, ToolFault, Waiting
from services.executor.tools.registry import Toolbox
from services.executor.work import Work
from shared.expressions import Expression, Template
from shared.secrets.redaction import MARK, Redactor
from shared.tools.base import ToolSpec
from shared.vocabulary.limits import OUTPUT_BYTES
from shared.vocabulary.pipeline import Step
from shared.vocabulary.states import ErrorClass, StepStatus, WaitKind

# The database's time, told by the claim and carried on by our own monotonic clock.
Clock: TypeAlias = Callable[[], datetime]


class StepCaller:
    """What the calls of one attempt have in common. `token_of` makes the token by which a receiver speaks for a step;
    without `is_plain`, each step has an idempotency key of its own."""

    def __init__(
        self,
        work: Work,
        journal: Journal,
        toolbox: Toolbox,
        *,
        redactor: Redactor,
        clock: Clock,
        is_plain: bool,
        token_of: Callable[[str], str],
        traceparent: str | None,
    ) -> None:
        self._work = work
        self._journal = journal
        self._toolbox = toolbox
        self._redactor = redactor
        self._clock = clock
        self._is_plain = is_plain
        self._token_of = token_of
        self._traceparent = traceparent

    def computed(self, text: Expression | Template, variables: Mapping[str, Any]) -> object:
        """Raises ExpressionFault."""
        return text.evaluate(variables) if isinstance(text, Expression) else text.render(variables)

    async def act(
        self, program: StepProgram, step_id: str, variables: Mapping[str, Any], *, is_alone: bool
    ) -> Failed | Parked | None:
        """None: it has succeeded, and its record says with what. `is_alone`: no other step runs beside it, so that its
        end can wait for the next write. Raises ExpressionFault and LeaseGone."""
        step, known = program.step, self._journal.find(step_id)
        if program.spec is None or step.uses not in self._toolbox:
            return self._failed(step, step_id, ErrorClass.TOOL, f"There is no tool {step.uses!r}.")
        if known is not None:
            if self._has_slept(known):
                return None
            if (end := self._end_of_known(step, known)) is not None:
                return end
        arguments: dict[str, Any] = program.arguments.render(variables)  # type: ignore[assignment]  # `with` is a map
        if not program.spec.takes_secrets:
            arguments = self._redactor.value(arguments)
        elif not program.spec.is_pure and self._holds_stand_in(arguments):
            message = "A secret cannot be handed on by the output of a step: use ${secrets.…} where it is sent."
            return self._failed(step, step_id, ErrorClass.TEMPLATE, message)
        record = self._begun(step_id, known)
        if program.spec.is_pure:
            return await self._compute(program.spec, step, record, arguments)
        return await self._act_on_record(program.spec, step, record, arguments, is_alone=is_alone)

    async def _act_on_record(
        self, spec: ToolSpec, step: Step, record: StepRecord, arguments: Mapping[str, Any], *, is_alone: bool
    ) -> Failed | Parked | None:
        """The beginning is in the journal before the call goes out, where somebody may have to rely on it."""
        if step.on_unknown == "fail" or spec.awaits_answer(arguments):
            self._journal.is_kept = True
        if self._journal.is_kept:
            record = msgspec.structs.replace(record, input_digest=self._digest(arguments))
        self._journal.note(record)
        if self._journal.is_kept:
            await self._journal.write()
        end = await self._call(spec, step, record, arguments)
        if end is None and not is_alone:
            await self._journal.write()
        return end

    def fail(self, step_id: str, failed: Failed, *, is_final: bool) -> StepRecord:
        """Notes the failure. `is_final`: the pipeline goes on without the step."""
        now, known = self._clock(), self._journal.find(step_id)
        error = {"class": failed.error_class.value, "message": failed.message, "retryable": failed.is_retryable}
        record = StepRecord(
            step_id=step_id,
            status=StepStatus.FAILED,
            attempt=failed.step_attempt,
            started_at=known.started_at if known else now,
            finished_at=now,
            input_digest=known.input_digest if known else None,
            output=failed.output,
            error={**error, "final": True} if is_final else error,
        )
        self._journal.note(record)
        return record

    def _has_slept(self, known: StepRecord) -> bool:
        if known.status is not StepStatus.WAITING or known.wait_kind is not WaitKind.SLEEP or self._rest_of(known) > 0:
            return False
        awake = msgspec.structs.replace(known, status=StepStatus.SUCCEEDED, finished_at=self._clock(), wait_kind=None)
        self._journal.note(awake)
        return True

    def _rest_of(self, known: StepRecord) -> float:
        """Seconds that it still has to wait."""
        return (known.deadline_at - self._clock()).total_seconds() if known.deadline_at else 0.0

    def _end_of_known(self, step: Step, known: StepRecord) -> Failed | Parked | None:
        """What follows from the journal alone; None when the tool is to be called."""
        match known.status:
            case StepStatus.SUCCEEDED:
                return None
            case StepStatus.WAITING:
                return self._end_of_wait(step, known)
            case StepStatus.RUNNING if step.on_unknown == "fail":
                message = (
                    "The executor was lost while this step ran: whether it acted is unknown. It is not sent again."
                )
                return self._failed(step, known.step_id, ErrorClass.LEASE_LOST, message)
            case StepStatus.FAILED if known.wait_kind is not None:
                return self._told_failure(step, known)
            case _:
                return None

    def _end_of_wait(self, step: Step, known: StepRecord) -> Failed | Parked | None:
        if (rest := self._rest_of(known)) > 0:
            return Parked(rest)
        match known.wait_kind:
            case WaitKind.CALLBACK:
                message = "The receiver accepted the request and did not answer in time."
                return self._failed(
                    step, known.step_id, ErrorClass.TIMEOUT, message, retryable=True, step_attempt=known.attempt
                )
            case _:
                return None

    def _told_failure(self, step: Step, known: StepRecord) -> Failed:
        """Somebody outside said that the step has failed."""
        error = known.error or {}
        failed = Failed(
            ErrorClass(error.get("class", ErrorClass.TOOL.value)),
            str(error.get("message", "The receiver said that it failed.")),
            is_retryable=bool(error.get("retryable")),
            output=known.output,
            step_id=known.step_id,
            step_attempt=known.attempt,
            retry=step.retry,
        )
        self.fail(known.step_id, failed, is_final=False)
        return failed

    def _begun(self, step_id: str, known: StepRecord | None) -> StepRecord:
        attempt = self._work.attempt if known is None and self._is_plain else 1
        if known is not None:
            attempt = known.attempt if known.status is StepStatus.WAITING else known.attempt + 1
        return StepRecord(step_id=step_id, status=StepStatus.RUNNING, attempt=attempt, started_at=self._clock())

    async def _compute(
        self, spec: ToolSpec, step: Step, record: StepRecord, arguments: Mapping[str, Any]
    ) -> Failed | None:
        """What acts on nothing needs neither a limit nor a note before it."""
        try:
            answer = await self._toolbox[spec.name].call(arguments, self._context(record, ""))
        except ToolFault as fault:
            return self._refused(step, record, fault)
        self._succeed(record, self._redactor.value(answer))
        return None

    async def _call(
        self, spec: ToolSpec, step: Step, record: StepRecord, arguments: Mapping[str, Any]
    ) -> Failed | Parked | None:
        context = self._context(record, self._token_of(record.step_id) if spec.awaits_answer(arguments) else "")
        try:
            answer = await self._answer_in_time(spec, step, arguments, context)
        except ToolFault as fault:
            return self._refused(step, record, fault)
        if isinstance(answer, Waiting):
            return self._parked(record, answer, self._shown(answer.output, context))
        self._succeed(record, self._shown(answer, context))
        return None

    async def _answer_in_time(
        self, spec: ToolSpec, step: Step, arguments: Mapping[str, Any], context: StepContext
    ) -> object:
        tool = self._toolbox[spec.name]
        if step.timeout_seconds is None:
            return await tool.call(arguments, context)
        limit = asyncio.timeout(step.timeout_seconds)
        try:
            async with limit:
                return await tool.call(arguments, context)
        except TimeoutError:
            if not limit.expired():
                raise
        message = f"The step {step.id!r} was not finished after {step.timeout_seconds:g} s."
        raise ToolFault(ErrorClass.TIMEOUT, message, retryable=True)

    def _succeed(self, record: StepRecord, output: object) -> None:
        ended_at = self._clock()
        self._journal.note(
            StepRecord(
                step_id=record.step_id,
                status=StepStatus.SUCCEEDED,
                attempt=record.attempt,
                started_at=record.started_at,
                finished_at=ended_at,
                input_digest=record.input_digest,
                output=output,
            )
        )

    def _shown(self, output: object, context: StepContext) -> object:
        """As it may be stored: a receiver that echoes what it was sent must not give its token to every reader."""
        shown = self._redactor.value(output)
        return Redactor((context.callback_token,)).value(shown) if context.callback_token else shown

    def _parked(self, record: StepRecord, waiting: Waiting, output: object) -> Parked:
        self._journal.note(
            msgspec.structs.replace(
                record,
                status=StepStatus.WAITING,
                output=output,
                wait_kind=waiting.kind,
                wait_seconds=waiting.seconds,
            )
        )
        return Parked(waiting.seconds)

    def _refused(self, step: Step, record: StepRecord, fault: ToolFault) -> Failed:
        failed = Failed(
            fault.error_class,
            self._redactor.text(fault.message),
            is_retryable=fault.retryable,
            retry_after_seconds=fault.retry_after_seconds,
            output=self._redactor.value(fault.output),
            step_id=record.step_id,
            step_attempt=record.attempt,
            retry=step.retry,
        )
        self.fail(record.step_id, failed, is_final=False)
        return failed

    def _failed(
        self,
        step: Step,
        step_id: str,
        error_class: ErrorClass,
        message: str,
        *,
        retryable: bool = False,
        step_attempt: int = 1,
    ) -> Failed:
        failed = Failed(
            error_class, message, is_retryable=retryable, step_id=step_id, step_attempt=step_attempt, retry=step.retry
        )
        self.fail(step_id, failed, is_final=False)
        return failed

    def _context(self, record: StepRecord, callback_token: str) -> StepContext:
        work = self._work
        return StepContext(
            run_id=work.id,
            task_id=work.task_id,
            agent_id=work.agent_id,
            step_id=record.step_id,
            attempt=record.attempt,
            fence=work.fence,
            idempotency_key=str(work.id) if self._is_plain else f"{work.id}:{record.step_id}",
            scheduled_for=work.scheduled_for,
            now=record.started_at,
            callback_token=callback_token,
            event_depth=_depth(work.event),
            traceparent=self._traceparent,
        )

    def _holds_stand_in(self, arguments: Mapping[str, Any]) -> bool:
        return self._redactor is not Redactor.NOTHING and MARK.encode() in msgspec.json.encode(arguments)

    def _digest(self, arguments: Mapping[str, Any]) -> bytes:
        """Of what was sent, without its secrets: a short one could be guessed from a digest."""
        return hashlib.sha256(msgspec.json.encode(self._redactor.value(arguments), order="sorted")).digest()


def capped(output: object) -> object:
    """Tools bound what they give; what many of them give together is bounded here."""
    size = len(msgspec.json.encode(output))
    return output if size <= 2 * OUTPUT_BYTES else {"truncated": True, "bytes": size}


def _depth(event: Mapping[str, Any] | None) -> int:
    """What follows a run, by a hook, goes on from the event of that run."""
    given = event or {}
    if "depth" not in given and isinstance(given.get("event"), Mapping):
        return _depth(given["event"])
    depth = given.get("depth", 0)
    return depth if isinstance(depth, int) else 0
