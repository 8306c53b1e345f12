"""PURE: what becomes of a run after one attempt."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, assert_never
from uuid import UUID

import msgspec

from services.executor.work import Work
from shared.vocabulary.ids import occurrence_id
from shared.vocabulary.pipeline import StepRetry
from shared.vocabulary.states import BackoffStrategy, ErrorClass, RunStatus, Source

BACKOFF_BASE_SECONDS = 10.0
BACKOFF_CAP_SECONDS = 3600.0
# Starts after which nothing was heard any more; the executors died, or it made them.
FATAL_STARTS = 2
LEASES_LOST_MAX = 10
QUARANTINE_MESSAGE = (
    "The executor was lost each of the last two times that this was run, so that it is quarantined. "
    "Replay the run when the cause is mended."
)
RETRY_AFTER_CAP_SECONDS = timedelta(days=1).total_seconds()


class Succeeded(msgspec.Struct, frozen=True):
    output: Any


class Failed(msgspec.Struct, frozen=True):
    """`retry_after_seconds` is what the receiver asked for; `output` what is known all the same. `retry`: the step's
    own policy, which counts the attempts at the step."""

    error_class: ErrorClass
    message: str
    is_retryable: bool
    retry_after_seconds: float | None = None
    output: Any = None
    step_id: str | None = None
    step_attempt: int = 1
    retry: StepRetry | None = None


class Parked(msgspec.Struct, frozen=True):
    """The run goes on in `seconds`, or when what it waits for has come. Nothing holds a slot until then."""

    seconds: float


class Quarantined(msgspec.Struct, frozen=True):
    """Its executor was lost every time that it was started: it is not started again."""


class Canceled(msgspec.Struct, frozen=True):
    """Somebody asked for it while the attempt ran."""


class HandedBack(msgspec.Struct, frozen=True):
    """The executor stops before the attempt is finished; another may begin at once, and the attempt does not count."""


Result = Succeeded | Failed | Parked | Quarantined | Canceled | HandedBack


class Outcome(msgspec.Struct, frozen=True):
    """What is written for one run. `retry_in_seconds` is None when the outcome is final. `is_attempt_kept`: the attempt
    has not come to its end, and the next claim goes on with it. `is_unstarted`: it never began under this lease, so
    that nothing about the run changes."""

    status: RunStatus
    success: bool | None
    retry_in_seconds: float | None = None
    is_attempt_kept: bool = False
    is_unstarted: bool = False
    output: Any = None
    error: dict[str, Any] | None = None


class Hook(msgspec.Struct, frozen=True):
    """What follows an outcome: work of its own, which is given the run that it follows."""

    id: UUID
    event: Mapping[str, Any]


def decide(result: Result, work: Work) -> Outcome:
    match result:
        case Succeeded(output):
            return Outcome(RunStatus.SUCCEEDED, True, output=output)
        case Failed():
            return _after_failure(result, work)
        case Parked(seconds):
            return Outcome(RunStatus.WAITING, None, retry_in_seconds=seconds, is_attempt_kept=True)
        case Quarantined():
            lost = Failed(ErrorClass.LEASE_LOST, QUARANTINE_MESSAGE, is_retryable=False)
            return Outcome(RunStatus.DEAD, False, error=_error(lost, work))
        case Canceled():
            canceled = Failed(ErrorClass.CANCELED, "The run was canceled while it ran.", is_retryable=False)
            return Outcome(RunStatus.CANCELED, None, error=_error(canceled, work))
        case HandedBack():
            status = RunStatus.QUEUED if work.attempt == 1 else RunStatus.RETRYING
            is_started = work.is_admitted
            return Outcome(status, None, retry_in_seconds=0.0, is_attempt_kept=is_started, is_unstarted=not is_started)
        case _:
            assert_never(result)


def is_beyond_retries(work: Work, most_retries_of_a_step: int) -> bool:
    """True for work that was begun more often than anything allows. A lost lease is no failure of the work, so that it
    may be lost some times beyond the retries; what kills its executors is quarantined before."""
    return work.attempt > max(work.max_retries, most_retries_of_a_step) + 1 + LEASES_LOST_MAX


def is_quarantined(work: Work) -> bool:
    return not work.is_admitted and work.unended_starts >= FATAL_STARTS


def is_suspect(work: Work) -> bool:
    """Its last start never came to an end: it may have taken its executor with it, and would take its neighbours."""
    return not work.is_admitted and work.unended_starts > 0


def is_last_attempt(failed: Failed, work: Work) -> bool:
    """Whether this failure is the run's last word."""
    if not failed.is_retryable:
        return True
    if failed.retry is not None:
        return failed.step_attempt > failed.retry.max_retries
    return work.attempt > work.max_retries


def hook_of(work: Work, outcome: Outcome) -> Hook | None:
    """The work that the task wants done after this outcome, once for each run. None follows a hook."""
    if outcome.retry_in_seconds is not None or outcome.success is None or work.source is Source.HOOK:
        return None
    name, wanted = ("on_success", work.on_success) if outcome.success else ("on_failure", work.on_failure)
    if wanted is None:
        return None
    told = {
        "id": str(work.id),
        "task_id": str(work.task_id),
        "status": outcome.status.value,
        "success": outcome.success,
        "attempt": work.attempt,
        "scheduled_for": work.scheduled_for,
        "source": work.source.value,
        "output": outcome.output,
        "error": outcome.error,
    }
    hook_id = occurrence_id(work.task_id, work.schedule_rev, work.scheduled_for, f"hook:{work.id}")
    return Hook(hook_id, {"hook": name, "run": told, "event": work.event})


def backoff_seconds(strategy: BackoffStrategy, attempt: int, spread: float) -> float:
    """The wait after failed attempt `attempt` (from 1). `spread` in [0, 1) places a jittered wait between half and the
    whole of the exponential one, so that what failed together does not come back together, nor at once."""
    doubled = min(BACKOFF_BASE_SECONDS * 2.0 ** min(attempt - 1, 32), BACKOFF_CAP_SECONDS)
    match strategy:
        case BackoffStrategy.EXPONENTIAL_JITTER:
            return doubled * (0.5 + spread / 2)
        case BackoffStrategy.EXPONENTIAL:
            return doubled
        case BackoffStrategy.LINEAR:
            return min(BACKOFF_BASE_SECONDS * attempt, BACKOFF_CAP_SECONDS)
        case BackoffStrategy.FIXED:
            return BACKOFF_BASE_SECONDS
        case _:
            assert_never(strategy)


def _after_failure(failed: Failed, work: Work) -> Outcome:
    error = _error(failed, work)
    if not failed.is_retryable:
        return Outcome(RunStatus.FAILED, False, output=failed.output, error=error)
    if is_last_attempt(failed, work):
        return Outcome(RunStatus.DEAD, False, output=failed.output, error=error)
    wait_seconds = _wait_seconds(failed, work)
    return Outcome(RunStatus.RETRYING, None, retry_in_seconds=wait_seconds, output=failed.output, error=error)


def _wait_seconds(failed: Failed, work: Work) -> float:
    """What the receiver asks for, within bounds, else the policy of the step or the task."""
    if failed.retry_after_seconds is not None:
        return min(max(failed.retry_after_seconds, BACKOFF_BASE_SECONDS), RETRY_AFTER_CAP_SECONDS)
    # The low bits of a deterministic id are as good as drawn, and make the decision repeatable.
    spread = ((work.id.int + work.attempt * 0x9E3779B97F4A7C15) & 0xFFFF) / 0x10000
    if failed.retry is not None:
        return backoff_seconds(failed.retry.backoff_strategy, failed.step_attempt, spread)
    return backoff_seconds(work.backoff_strategy, work.attempt, spread)


def _error(failed: Failed, work: Work) -> dict[str, Any]:
    return {
        "class": failed.error_class.value,
        "message": failed.message,
        "retryable": failed.is_retryable,
        "step": failed.step_id,
        "attempt": work.attempt,
    }
