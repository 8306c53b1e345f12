"""PURE: what becomes of a run after one attempt."""

from datetime import timedelta
from typing import Any, assert_never

import msgspec

from services.executor.work import Work
from shared.vocabulary.states import BackoffStrategy, ErrorClass, RunStatus

BACKOFF_BASE_SECONDS = 10.0
BACKOFF_CAP_SECONDS = 3600.0
RETRY_AFTER_CAP_SECONDS = timedelta(days=1).total_seconds()


class Succeeded(msgspec.Struct, frozen=True):
    output: Any


class Failed(msgspec.Struct, frozen=True):
    """`retry_after_seconds` is what the receiver asked for; `output` what is known all the same."""

    error_class: ErrorClass
    message: str
    is_retryable: bool
    retry_after_seconds: float | None = None
    output: Any = None


class Canceled(msgspec.Struct, frozen=True):
    """Somebody asked for it while the attempt ran."""


class HandedBack(msgspec.Struct, frozen=True):
    """The executor stops before the attempt is finished; another may begin at once, and the attempt does not count."""


Result = Succeeded | Failed | Canceled | HandedBack


class Outcome(msgspec.Struct, frozen=True):
    """What is written for one run. `retry_in_seconds` is None when the outcome is final."""

    status: RunStatus
    success: bool | None
    retry_in_seconds: float | None = None
    is_handed_back: bool = False
    output: Any = None
    error: dict[str, Any] | None = None


def decide(result: Result, work: Work) -> Outcome:
    match result:
        case Succeeded(output):
            return Outcome(RunStatus.SUCCEEDED, True, output=output)
        case Failed():
            return _after_failure(result, work)
        case Canceled():
            error = _error(ErrorClass.CANCELED, "The run was canceled while it ran.", is_retryable=False)
            return Outcome(RunStatus.CANCELED, None, error=error)
        case HandedBack():
            status = RunStatus.QUEUED if work.attempt == 1 else RunStatus.RETRYING
            return Outcome(status, None, retry_in_seconds=0.0, is_handed_back=True)
        case _:
            assert_never(result)


def is_beyond_retries(work: Work) -> bool:
    """True for work whose executors died so often that another attempt is not allowed."""
    return work.attempt > work.max_retries + 1


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
    error = _error(failed.error_class, failed.message, is_retryable=failed.is_retryable)
    if not failed.is_retryable:
        return Outcome(RunStatus.FAILED, False, output=failed.output, error=error)
    if work.attempt > work.max_retries:
        return Outcome(RunStatus.DEAD, False, output=failed.output, error=error)
    wait_seconds = _wait_seconds(failed, work)
    return Outcome(RunStatus.RETRYING, None, retry_in_seconds=wait_seconds, output=failed.output, error=error)


def _wait_seconds(failed: Failed, work: Work) -> float:
    """What the receiver asks for, within bounds, else the task's own policy."""
    if failed.retry_after_seconds is not None:
        return min(max(failed.retry_after_seconds, BACKOFF_BASE_SECONDS), RETRY_AFTER_CAP_SECONDS)
    # The low bits of a deterministic id are as good as drawn, and make the decision repeatable.
    spread = ((work.id.int + work.attempt * 0x9E3779B97F4A7C15) & 0xFFFF) / 0x10000
    return backoff_seconds(work.backoff_strategy, work.attempt, spread)


def _error(error_class: ErrorClass, message: str, *, is_retryable: bool) -> dict[str, Any]:
    return {"class": error_class.value, "message": message, "retryable": is_retryable}
