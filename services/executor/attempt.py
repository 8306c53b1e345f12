"""One try at a run: the task's pipeline, under its timeout."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

import asyncpg
import msgspec

from services.executor.journal import Journal, JournalWriter, StepRecord
from services.executor.outcome import Canceled, Failed, Result, is_beyond_retries, is_last_attempt
from services.executor.pipeline.hooks import program_of_hook
from services.executor.pipeline.interpreter import Interpreter
from services.executor.pipeline.program import Program, Programs
from services.executor.pipeline.step_call import StepCaller
from services.executor.pipeline.variables import secrets_of, variables_of
from services.executor.secrets import SecretStore
from services.executor.tools.base import ToolFault
from services.executor.tools.registry import Toolbox
from services.executor.work import Work
from shared.database.statements import load_statements
from shared.expressions import ExpressionFault
from shared.secrets.redaction import Redactor, bind_redactor
from shared.vocabulary.run_token import make_run_token
from shared.vocabulary.states import ErrorClass, Source, StepStatus

SQL = load_statements("services.executor", "sql/queue.sql")


class Means(msgspec.Struct, frozen=True):
    """What every attempt works with. `token_key`: what the tokens of runs are made with."""

    pool: asyncpg.Pool
    toolbox: Toolbox
    journals: JournalWriter
    programs: Programs
    secrets: SecretStore
    token_key: bytes


class Attempt:
    """Never raises for what a payload or a receiver can do; cancellation and LeaseGone pass through. `steps` is what
    the journal still lacks when it has ended, however it did."""

    def __init__(self, work: Work, means: Means, traceparent: str | None, claimed_at: float) -> None:
        """`claimed_at`: when the claim was sent, on the monotonic clock."""
        self._work = work
        self._means = means
        self._traceparent = traceparent
        self._claimed_at = claimed_at
        self._journal: Journal | None = None

    async def run(self) -> Result:
        try:
            program = self._program()
        except msgspec.ValidationError as error:
            return Failed(ErrorClass.TEMPLATE, f"The payload cannot be executed: {error}", is_retryable=False)
        except ExpressionFault as fault:
            message = f"The payload cannot be executed: {fault.path}: {fault.message}"
            return Failed(ErrorClass.TEMPLATE, message, is_retryable=False)
        if is_beyond_retries(self._work, program.most_retries):
            message = "Its lease was lost more often than it may be tried."
            return Failed(ErrorClass.LEASE_LOST, message, is_retryable=True)
        limit = asyncio.timeout(self._work.timeout_seconds)
        try:
            async with limit:
                return await self._interpret(program)
        except ToolFault as fault:  # of a secret: those of steps end there
            return Failed(fault.error_class, fault.message, is_retryable=fault.retryable)
        except TimeoutError:
            if not limit.expired():
                raise
            return self._timed_out()

    def steps(self, result: Result | None) -> Sequence[StepRecord]:
        if self._journal is None:
            return ()
        if isinstance(result, Canceled):
            self._end(self._journal.running(), ErrorClass.CANCELED, "The run was canceled.")
        if isinstance(result, Canceled) or (isinstance(result, Failed) and is_last_attempt(result, self._work)):
            self._end(self._journal.waiting(), ErrorClass.CANCELED, "The run ended without it.")
        return self._journal.unwritten()

    def _program(self) -> Program:
        if self._work.source is Source.HOOK:
            return program_of_hook(self._work)
        return self._means.programs.of(self._work)

    async def _interpret(self, program: Program) -> Result:
        work, means = self._work, self._means
        # A lease for the first time has nothing to go on with.
        known = await means.journals.read(work) if work.fence > 1 else []
        self._journal = Journal(work, means.journals, known, is_kept=bool(known) or not program.is_plain)
        secrets = await secrets_of(work, program, means.secrets)
        redactor = Redactor(secrets.values()) if secrets else Redactor.NOTHING
        bind_redactor(redactor)
        caller = StepCaller(
            work,
            self._journal,
            means.toolbox,
            redactor=redactor,
            clock=self._now,
            is_plain=program.is_plain,
            token_of=partial(make_run_token, means.token_key, work.id),
            traceparent=self._traceparent,
        )
        variables = await variables_of(work, program, secrets, self._previous_output)
        interpreter = Interpreter(program, work, self._journal, caller=caller, variables=variables, clock=self._now)
        return await interpreter.run()

    def _now(self) -> datetime:
        """The database's clock: that of the claim, carried on by ours."""
        return self._work.claimed_at + timedelta(seconds=time.monotonic() - self._claimed_at)

    async def _previous_output(self, work: Work) -> object:
        return await self._means.pool.fetchval(SQL["previous_output"].sql, work.task_id, work.id)

    def _timed_out(self) -> Failed:
        seconds = self._work.timeout_seconds
        running = sorted(record.step_id for record in self._journal.running()) if self._journal else []
        where = f" (at {', '.join(running[:5])})" if running else ""
        message = f"The run was not finished after {seconds:g} s{where}."
        if self._journal is not None:
            self._end(self._journal.running(), ErrorClass.TIMEOUT, message)
        return Failed(ErrorClass.TIMEOUT, message, is_retryable=True, step_id=running[0] if running else None)

    def _end(self, records: Iterable[StepRecord], error_class: ErrorClass, message: str) -> None:
        if self._journal is None:
            return
        error = {"class": error_class.value, "message": message, "retryable": error_class is ErrorClass.TIMEOUT}
        for record in records:
            ended = msgspec.structs.replace(
                record, status=StepStatus.FAILED, error=error, finished_at=self._now(), wait_seconds=None
            )
            self._journal.note(ended)
