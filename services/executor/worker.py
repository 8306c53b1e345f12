"""arq's worker with due work as its source: arq keeps the slots, the signals, the hooks and the chores."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, assert_never, cast

import asyncpg
import structlog
from arq.connections import ArqRedis
from arq.cron import CronJob
from arq.typing import WorkerCoroutine
from arq.utils import poll
from arq.worker import Worker, func
from opentelemetry import trace

from services.executor.attempt import Attempt
from services.executor.journal import LeaseGone, StepRecord
from services.executor.lease import Held, LeaseKeeper, StopReason
from services.executor.limiter import Limiter
from services.executor.outcome import (
    Canceled,
    Failed,
    HandedBack,
    Quarantined,
    Result,
    Succeeded,
    decide,
    hook_of,
    is_quarantined,
    is_suspect,
)
from services.executor.recorder import Finished, Recorder
from services.executor.suspects import Lane
from services.executor.work import Work
from shared.streams.client import REDIS_ERRORS
from shared.telemetry.tracing import context_of, trace_id_of, traceparent_of
from shared.vocabulary.states import ErrorClass

logger = structlog.get_logger(__name__)

EXECUTE = "execute"
CHORES_QUEUE = "pao:chores"
CHORES_POLL_SECONDS = 1.0
HEALTH_SECONDS = 10
FLUSH_SECONDS = 2.0
MEANS = "means"


class ExecutorWorker(Worker):
    """Claimed work runs under arq's registry, counters, hooks and signals, `max_jobs` at a time; arq's own queue, slots
    and semaphore serve only the chores, so that neither takes the place of the other.

    Three of arq's methods are replaced, each for one reason: `main`, which asks Redis for its version before the first
    job; `_poll_iteration`, whose Redis errors would end the process; `close`, which needs Redis before all else.
    """

    def __init__(
        self,
        *,
        redis_pool: ArqRedis,
        max_jobs: int,
        job_completion_wait_seconds: int,
        cron_jobs: Sequence[CronJob],
        context: dict[Any, Any],
        leases: LeaseKeeper,
        recorder: Recorder,
        limiter: Limiter,
        tracer: trace.Tracer,
    ) -> None:
        super().__init__(
            functions=[func(cast("WorkerCoroutine", execute), name=EXECUTE)],  # its protocol wants *args
            cron_jobs=cron_jobs,
            redis_pool=redis_pool,
            queue_name=CHORES_QUEUE,
            max_jobs=max_jobs,
            job_completion_wait=job_completion_wait_seconds,
            poll_delay=CHORES_POLL_SECONDS,
            health_check_interval=HEALTH_SECONDS,
            ctx=context,
            log_results=False,
        )
        self._leases = leases
        self._recorder = recorder
        self._limiter = limiter
        self._suspects = Lane()
        self._tracer = tracer
        self.on_slot_free: Callable[[], None] = _nobody_waits
        self._running: set[str] = set()

    @property
    def free(self) -> int:
        """What waits to be recorded counts too: a database that cannot keep up is given no more to record."""
        busy = len(self._running) + self._recorder.waiting
        return max(0, self.max_jobs - busy) if self.allow_pick_jobs else 0

    def look_for_work(self) -> None:
        """Something may be due by now."""
        self.on_slot_free()

    def take(self, work: Work, claimed_at: float) -> None:
        """Run claimed work in a slot. The caller asked for no more than are free."""
        held = self._leases.hold(work, claimed_at)
        held.job = job = self.loop.create_task(self._run(held))
        name = f"{work.id}:{work.fence}"
        self.tasks[name] = job
        self._running.add(name)
        job.add_done_callback(lambda done: self._leave_slot(name, held, done))

    async def main(self) -> None:
        self.ctx["redis"] = self.pool
        async for _ in poll(self.poll_delay_s):
            await self._poll_iteration()

    async def _poll_iteration(self) -> None:
        try:
            await super()._poll_iteration()
        except REDIS_ERRORS as error:
            logger.warning("chores_wait_for_redis", error=repr(error))
            self._free_slots_of_chores()

    async def close(self) -> None:
        """What still runs is handed back and what was run is recorded, before Redis is needed for the rest."""
        for job in self.tasks.values():
            job.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._recorder.stop()
        except TimeoutError:
            logger.error("outcomes_not_recorded")  # noqa: TRY400 (the traceback would show only this wait)
        with contextlib.suppress(*REDIS_ERRORS):
            await super().close()

    def _free_slots_of_chores(self) -> None:
        """arq takes a slot before it asks Redis, and expects to end when Redis does not answer."""
        while self.job_counter > sum(name not in self._running for name in self.tasks):
            self._release_sem_dec_counter_on_complete()

    async def _run(self, held: Held) -> None:
        work = held.work
        structlog.contextvars.bind_contextvars(run_id=str(work.id), task_id=str(work.task_id))
        if is_quarantined(work):
            logger.error("run_quarantined")
            self._finish(work, Quarantined(), None)
        elif is_suspect(work):
            async with self._suspects.alone():
                await self._run_limited(held)
        elif not work.is_admitted:
            await self._run_limited(held)
        else:
            await self._execute(held, work)

    async def _run_limited(self, held: Held) -> None:
        try:
            started = await self._limiter.admit(held.work)
        except asyncpg.PostgresError:
            started = None  # the lease runs out, and somebody asks again
        if started is None:
            self._leases.forget([held.work])
        else:
            await self._execute(held, started)

    async def _execute(self, held: Held, work: Work) -> None:
        span = self._tracer.start_span("attempt", context=context_of(work.traceparent))
        attempt = Attempt(work, self.ctx[MEANS], traceparent_of(span), held.claimed_at)
        result: Result | None
        try:
            result = await self._attempt(work, attempt)
        except asyncio.CancelledError:
            result = _result_of_stop(held.stop_reason)
        except LeaseGone:
            logger.warning("stale_write_refused", run_id=str(work.id), fence=work.fence)
            result = None
        except Exception:  # the supervisor of one attempt: a defect of ours must not lose its outcome
            logger.exception("attempt_failed_inside")
            result = Failed(ErrorClass.INTERNAL, "The executor failed; its log has the details.", is_retryable=True)
        finally:
            span.end()
        self._count(result)
        if result is not None:
            self._finish(work, result, trace_id_of(span), attempt.steps(result))
        else:
            self._limiter.absolve(work)

    def _finish(self, work: Work, result: Result, trace_id: str | None, steps: Sequence[StepRecord] = ()) -> None:
        outcome = decide(result, work)
        self._recorder.add(Finished(work, outcome, trace_id, steps, hook_of(work, outcome)))

    async def _attempt(self, work: Work, attempt: Attempt) -> Result:
        if work.is_cancel_requested:
            return Canceled()
        function = self.functions[EXECUTE]
        context = {**self.ctx, "job_id": str(work.id), "job_try": work.attempt}
        if self.on_job_start:
            await self.on_job_start(context)
        result: Result = await function.coroutine(context, attempt)
        if self.on_job_end:
            await self.on_job_end(context)
        return result

    def _count(self, result: Result | None) -> None:
        match result:
            case Succeeded():
                self.jobs_complete += 1
            case Failed():
                self.jobs_failed += 1
            case _:
                self.jobs_retried += 1

    def _leave_slot(self, name: str, held: Held, job: asyncio.Task[None]) -> None:
        self._running.discard(name)
        self.tasks.pop(name, None)
        # A job cancelled before its first step never saw the cancellation.
        if job.cancelled() and (result := _result_of_stop(held.stop_reason)):
            self._finish(held.work, result, None)
        self.on_slot_free()


def _nobody_waits() -> None:
    return None


async def execute(_context: dict[Any, Any], attempt: Attempt) -> Result:
    """The function in arq's registry under which all due work runs."""
    return await attempt.run()


def _result_of_stop(reason: StopReason | None) -> Canceled | HandedBack | None:
    match reason:
        case StopReason.LEASE_LOST:
            return None
        case StopReason.CANCEL_REQUESTED:
            return Canceled()
        case None:
            return HandedBack()
        case _:
            assert_never(reason)
