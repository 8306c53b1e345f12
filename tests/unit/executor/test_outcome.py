"""What becomes of a run after one attempt."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest

from services.executor.outcome import (
    BACKOFF_CAP_SECONDS,
    LEASES_LOST_MAX,
    Canceled,
    Failed,
    HandedBack,
    Parked,
    Quarantined,
    Succeeded,
    backoff_seconds,
    decide,
    hook_of,
    is_beyond_retries,
    is_quarantined,
    is_suspect,
)
from services.executor.work import Work
from shared.vocabulary.pipeline import StepRetry
from shared.vocabulary.states import BackoffStrategy, ErrorClass, RunStatus, Source

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
WORK = Work(
    id=UUID("01a205a4-3000-79cb-88cb-67b0f6ed4827"),
    fence=1,
    attempt=1,
    task_id=UUID(int=1),
    agent_id=UUID(int=2),
    schedule_rev=1,
    scheduled_for=NOON,
    source=Source.SCHEDULE,
    event=None,
    traceparent=None,
    unended_starts=1,
    claimed_at=NOON,
    is_cancel_requested=False,
    is_admitted=True,
    payload={},
    title="a task",
    tags=[],
    task_version=1,
    timeout_seconds=60,
    max_retries=3,
    backoff_strategy=BackoffStrategy.EXPONENTIAL_JITTER,
    pause_after_failures=None,
    on_success=None,
    on_failure={"publish": {"topic": "it.failed"}},
)
PASSING = Failed(ErrorClass.CONNECT, "refused", is_retryable=True)
FINAL = Failed(ErrorClass.HTTP_4XX, "not found", is_retryable=False)


def work(**fields: object) -> Work:
    return msgspec.structs.replace(WORK, **fields)


def test_success_is_final() -> None:
    outcome = decide(Succeeded({"n": 1}), WORK)

    assert (outcome.status, outcome.success, outcome.retry_in_seconds) == (RunStatus.SUCCEEDED, True, None)
    assert outcome.output == {"n": 1}


def test_a_failure_that_may_pass_is_retried_as_often_as_the_task_says() -> None:
    outcomes = [decide(PASSING, work(attempt=attempt)) for attempt in (1, 2, 3, 4)]

    assert [outcome.status for outcome in outcomes] == [*[RunStatus.RETRYING] * 3, RunStatus.DEAD]
    assert outcomes[-1].retry_in_seconds is None
    assert [outcome.success for outcome in outcomes] == [None, None, None, False]


def test_a_failure_that_stays_is_final_at_once() -> None:
    outcome = decide(FINAL, WORK)

    assert (outcome.status, outcome.success, outcome.retry_in_seconds) == (RunStatus.FAILED, False, None)
    told = {"class": "http_4xx", "message": "not found", "retryable": False, "step": None, "attempt": 1}
    assert outcome.error == told


def test_what_was_canceled_is_neither_success_nor_failure() -> None:
    assert (decide(Canceled(), WORK).status, decide(Canceled(), WORK).success) == (RunStatus.CANCELED, None)


@pytest.mark.parametrize(("attempt", "status"), [(1, RunStatus.QUEUED), (2, RunStatus.RETRYING)])
def test_what_is_handed_back_waits_where_it_was(attempt: int, status: RunStatus) -> None:
    outcome = decide(HandedBack(), work(attempt=attempt))

    assert (outcome.status, outcome.retry_in_seconds, outcome.is_attempt_kept) == (status, 0.0, True)


@pytest.mark.parametrize(
    ("asked", "given"), [(60.0, 60.0), (0.0, 10.0), (1e9, 86_400.0)], ids=["as asked", "not at once", "within a day"]
)
def test_the_receiver_may_say_when_to_come_back(asked: float, given: float) -> None:
    result = Failed(ErrorClass.HTTP_5XX, "busy", is_retryable=True, retry_after_seconds=asked)

    assert decide(result, WORK).retry_in_seconds == given


@pytest.mark.parametrize(
    ("strategy", "waits"),
    [
        (BackoffStrategy.FIXED, [10, 10, 10, 10]),
        (BackoffStrategy.LINEAR, [10, 20, 30, 40]),
        (BackoffStrategy.EXPONENTIAL, [10, 20, 40, 80]),
    ],
)
def test_waits_grow_as_the_strategy_says(strategy: BackoffStrategy, waits: list[float]) -> None:
    assert [backoff_seconds(strategy, attempt, 0.5) for attempt in (1, 2, 3, 4)] == waits


@pytest.mark.parametrize("strategy", list(BackoffStrategy))
def test_no_wait_is_longer_than_an_hour_however_many_attempts(strategy: BackoffStrategy) -> None:
    assert backoff_seconds(strategy, 10_000, 0.999) <= BACKOFF_CAP_SECONDS


def test_jitter_spreads_what_failed_together() -> None:
    waits = {decide(PASSING, work(id=UUID(int=number * 7919))).retry_in_seconds for number in range(200)}

    assert len(waits) > 150
    assert all(wait is not None and 5.0 <= wait < 10.0 for wait in waits)


def test_a_decision_is_repeatable() -> None:
    assert decide(PASSING, WORK) == decide(PASSING, WORK)


def test_work_whose_leases_are_lost_again_and_again_is_not_tried_for_ever() -> None:
    most = 4 + LEASES_LOST_MAX
    assert not is_beyond_retries(work(attempt=most), 0)
    assert is_beyond_retries(work(attempt=most + 1), 0)
    assert not is_beyond_retries(work(attempt=most + 1), 4)


def test_what_is_handed_back_before_it_began_is_left_as_it_was() -> None:
    outcome = decide(HandedBack(), work(is_admitted=False, attempt=0))
    assert (outcome.is_unstarted, outcome.is_attempt_kept) == (True, False)


def test_a_parked_run_waits_without_losing_an_attempt() -> None:
    outcome = decide(Parked(90.0), WORK)

    assert (outcome.status, outcome.success, outcome.retry_in_seconds) == (RunStatus.WAITING, None, 90.0)
    assert outcome.is_attempt_kept


def test_a_step_with_a_policy_of_its_own_counts_its_own_attempts() -> None:
    retry = StepRetry(max_retries=1, backoff_strategy=BackoffStrategy.FIXED)
    first = msgspec.structs.replace(PASSING, retry=retry, step_attempt=1)

    assert decide(first, work(attempt=9)).retry_in_seconds == 10
    assert decide(msgspec.structs.replace(first, step_attempt=2), work(attempt=2)).status is RunStatus.DEAD


def test_what_was_started_twice_without_an_end_is_quarantined() -> None:
    lost = {"is_admitted": False}
    assert [is_suspect(work(**lost, unended_starts=starts)) for starts in (0, 1, 2)] == [False, True, True]
    assert [is_quarantined(work(**lost, unended_starts=starts)) for starts in (0, 1, 2)] == [False, False, True]
    assert decide(Quarantined(), WORK).status is RunStatus.DEAD


def test_what_follows_an_outcome_follows_it_once() -> None:
    hook, again = hook_of(WORK, decide(FINAL, WORK)), hook_of(WORK, decide(FINAL, WORK))

    assert hook is not None
    assert again is not None
    assert (hook.id, hook.event["hook"], hook.event["run"]["status"]) == (again.id, "on_failure", "failed")


@pytest.mark.parametrize("result", [Succeeded(None), PASSING, Canceled(), HandedBack(), Parked(1.0)])
def test_nothing_follows_what_is_no_failure_yet(result: object) -> None:
    assert hook_of(WORK, decide(result, WORK)) is None  # type: ignore[arg-type]  # each is a Result


def test_nothing_follows_what_follows() -> None:
    hook = work(source=Source.HOOK)
    assert hook_of(hook, decide(FINAL, hook)) is None
