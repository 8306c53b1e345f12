"""Whether claimed work may start: every policy, and what a batch knows of itself."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.executor.admission import (
    RATE_MARGIN,
    UNSURE_SECONDS,
    Delay,
    Expire,
    Facts,
    Hold,
    Holder,
    RateLimit,
    Skip,
    Standing,
    Start,
    Verdict,
    Withdraw,
    reserve,
)
from shared.vocabulary.limits import BUFFERED_RUNS
from shared.vocabulary.states import OverlapPolicy, SkipReason, Source, TaskStatus

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
TASK, AGENT = uuid4(), uuid4()


def facts(**changes: object) -> Facts:
    usual: dict[str, Any] = {
        "id": uuid4(),
        "fence": 1,
        "task_id": TASK,
        "agent_id": AGENT,
        "run_at": NOW,
        "scheduled_for": NOW,
        "source": Source.SCHEDULE,
        "is_started": False,
        "serial_key": None,
        "task_status": TaskStatus.ACTIVE,
        "is_of_this_revision": True,
        "is_agent_active": True,
        "overlap_policy": OverlapPolicy.ALLOW_ALL,
        "concurrency_key": None,
        "concurrency_limit": 1,
        "expires_after_seconds": None,
        "rate_limit": None,
        "is_rate_reserved": False,
        "waiting": 0,
        "is_behind": False,
        "was_overlapped": False,
    }
    return Facts(**{**usual, **changes})


def standing(
    *,
    holder_since: datetime | None = None,
    seen_at: datetime = NOW,
    lost_at: datetime | None = None,
    slots: dict[tuple[UUID, str], int] | None = None,
) -> Standing:
    holders = {} if holder_since is None else {TASK: Holder(uuid4(), holder_since, seen_at, lost_at)}
    return Standing(NOW, holders, slots or {}, {})


def is_start(verdict: Verdict) -> bool:
    return isinstance(verdict, Start)


BEFORE = NOW - timedelta(seconds=30)


@pytest.mark.parametrize("policy", list(OverlapPolicy))
def test_a_task_with_nothing_in_progress_starts(policy: OverlapPolicy) -> None:
    assert is_start(standing().judge(facts(overlap_policy=policy)))


@pytest.mark.parametrize(
    ("policy", "waiting", "expected"),
    [
        (OverlapPolicy.SKIP, 0, Skip(SkipReason.OVERLAP)),
        (OverlapPolicy.BUFFER_ONE, 0, Hold),
        (OverlapPolicy.BUFFER_ONE, 1, Skip(SkipReason.OVERLAP_BUFFER_FULL)),
        (OverlapPolicy.BUFFER_ALL, BUFFERED_RUNS - 1, Hold),
        (OverlapPolicy.BUFFER_ALL, BUFFERED_RUNS, Skip(SkipReason.OVERLAP_BUFFER_FULL)),
        (OverlapPolicy.CANCEL_OTHER, 0, Hold),
        (OverlapPolicy.ALLOW_ALL, 0, Start),
    ],
)
def test_what_comes_due_beside_a_run_in_progress_follows_the_policy(
    policy: OverlapPolicy, waiting: int, expected: object
) -> None:
    verdict = standing(holder_since=BEFORE).judge(facts(overlap_policy=policy, waiting=waiting))
    assert isinstance(verdict, expected) if isinstance(expected, type) else verdict == expected


def test_what_is_late_because_nobody_could_run_it_waits_for_its_turn() -> None:
    late = facts(overlap_policy=OverlapPolicy.SKIP, run_at=NOW - timedelta(seconds=10))
    assert isinstance(standing(holder_since=NOW - timedelta(seconds=1)).judge(late), Hold)


def test_a_run_in_progress_is_never_stopped_by_its_own_policy() -> None:
    assert is_start(standing(holder_since=BEFORE).judge(facts(overlap_policy=OverlapPolicy.SKIP, is_started=True)))


def test_what_follows_an_outcome_runs_beside_the_next_occurrence() -> None:
    hook = facts(overlap_policy=OverlapPolicy.SKIP, source=Source.HOOK)
    assert standing(holder_since=BEFORE).judge(hook) == Start(None, holds_slot=False)


def test_a_batch_knows_what_it_has_started() -> None:
    batch = standing()
    first, second, third = (batch.judge(facts(overlap_policy=OverlapPolicy.BUFFER_ONE)) for _ in range(3))
    assert is_start(first)
    assert isinstance(second, Hold)
    assert third == Skip(SkipReason.OVERLAP_BUFFER_FULL)


def test_a_key_has_as_many_slots_as_its_limit() -> None:
    batch = standing(slots={(AGENT, "db"): 1})
    verdicts = [batch.judge(facts(concurrency_key="db", concurrency_limit=3, task_id=uuid4())) for _ in range(4)]
    assert [is_start(verdict) for verdict in verdicts] == [True, True, False, False]


def test_keys_of_other_agents_are_other_keys() -> None:
    batch = standing(slots={(uuid4(), "db"): 1})
    assert is_start(batch.judge(facts(concurrency_key="db")))


def test_what_could_not_begin_in_time_expires() -> None:
    late = facts(expires_after_seconds=60, scheduled_for=NOW - timedelta(seconds=61))
    assert standing().judge(late) == Expire(60)
    in_time = facts(expires_after_seconds=60, scheduled_for=NOW - timedelta(seconds=60))
    assert is_start(standing().judge(in_time))


def test_what_has_begun_does_not_expire() -> None:
    retry = facts(expires_after_seconds=60, scheduled_for=NOW - timedelta(hours=1), is_started=True)
    assert is_start(standing().judge(retry))


def test_work_of_a_disabled_agent_does_not_run() -> None:
    assert standing().judge(facts(is_agent_active=False)) == Skip(SkipReason.AGENT_DISABLED)


def test_excess_over_a_rate_is_delayed_in_order_and_never_dropped() -> None:
    batch, rate = standing(), RateLimit(limit=2, period_seconds=10)
    verdicts = [batch.judge(facts(rate_limit=rate)) for _ in range(5)]
    assert [is_start(verdict) for verdict in verdicts] == [True, True, False, False, False]
    delays = [verdict.until - NOW for verdict in verdicts if isinstance(verdict, Delay)]
    period = timedelta(seconds=10) + RATE_MARGIN
    assert delays == [period, period, 2 * period]


def test_a_reserved_start_is_not_counted_again() -> None:
    reserved = facts(rate_limit=RateLimit(limit=1, period_seconds=10), is_rate_reserved=True)
    batch = standing()
    assert is_start(batch.judge(reserved))
    assert is_start(batch.judge(facts(rate_limit=RateLimit(limit=1, period_seconds=10))))


@pytest.mark.parametrize("limit", [1, 3, 7])
def test_no_window_of_the_period_holds_more_starts_than_the_limit(limit: int) -> None:
    rate = RateLimit(limit=limit, period_seconds=5)
    starts: list[datetime] = []
    reserved: list[datetime] = []
    for number in range(60):
        at, starts = reserve(starts, NOW + timedelta(seconds=number * 0.3), rate)
        reserved.append(at)
    assert reserved == sorted(reserved)
    gaps = [later - earlier for earlier, later in zip(reserved, reserved[limit:], strict=False)]
    assert min(gaps) >= timedelta(seconds=5)


def test_what_follows_an_outcome_does_not_expire_with_its_run() -> None:
    hook = facts(source=Source.HOOK, expires_after_seconds=60, scheduled_for=NOW - timedelta(hours=1))
    assert is_start(standing().judge(hook))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task_status": TaskStatus.PAUSED}, SkipReason.TASK_PAUSED),
        ({"task_status": TaskStatus.CANCELED}, SkipReason.TASK_CANCELED),
        ({"is_of_this_revision": False}, SkipReason.SCHEDULE_CHANGED),
    ],
)
def test_what_has_not_begun_when_its_task_is_stopped_or_changed_does_not_begin(
    changes: dict[str, object], reason: SkipReason
) -> None:
    assert standing().judge(facts(**changes)) == Withdraw(reason)
    assert is_start(standing().judge(facts(**changes, is_started=True)))


def test_a_run_that_began_beside_another_goes_on_beside_it() -> None:
    """Its task was changed since: only one run can hold the key of a task that must not overlap itself."""
    begun = facts(overlap_policy=OverlapPolicy.SKIP, is_started=True, serial_key=None)
    assert standing(holder_since=BEFORE).judge(begun) == Start(None, holds_slot=False)


def test_a_window_that_tasks_share_keeps_what_the_largest_limit_needs() -> None:
    starts: list[datetime] = []
    for _ in range(10):
        _, starts = reserve(starts, NOW, RateLimit(limit=10, period_seconds=60))
    _, starts = reserve(starts, NOW, RateLimit(limit=1, period_seconds=60))
    eleventh, _ = reserve(starts, NOW, RateLimit(limit=10, period_seconds=60))
    assert eleventh - NOW >= timedelta(seconds=60)


def test_what_stands_back_goes_before_what_came_due_later() -> None:
    assert isinstance(standing().judge(facts(overlap_policy=OverlapPolicy.BUFFER_ALL, is_behind=True)), Hold)


def test_whether_a_silent_run_is_in_progress_is_not_known_yet() -> None:
    occurrence = facts(overlap_policy=OverlapPolicy.SKIP)
    verdict = standing(holder_since=BEFORE, seen_at=NOW - timedelta(seconds=1)).judge(occurrence)
    assert verdict == Hold(UNSURE_SECONDS)


def test_a_run_whose_executor_was_lost_was_not_in_progress() -> None:
    occurrence = facts(overlap_policy=OverlapPolicy.SKIP)
    lost = standing(holder_since=BEFORE, lost_at=NOW + timedelta(seconds=3))
    assert isinstance(lost.judge(occurrence), Hold)


def test_a_run_that_has_ended_since_it_overlapped_counts() -> None:
    occurrence = facts(overlap_policy=OverlapPolicy.SKIP, was_overlapped=True)
    assert standing().judge(occurrence) == Skip(SkipReason.OVERLAP)


def of_day(runs: int) -> Standing:
    return Standing(NOW, {}, {}, {}, {AGENT: runs})


SPENT = Skip(SkipReason.QUOTA_EXCEEDED)


def test_an_agent_begins_as_many_runs_as_it_may_on_a_day_and_no_more() -> None:
    today = of_day(1)
    verdicts = [today.judge(facts(runs_per_day=3)) for _ in range(4)]
    assert [is_start(verdict) for verdict in verdicts] == [True, True, False, False]
    assert verdicts[2:] == [SPENT, SPENT]
    assert today.runs_of_day == {AGENT: 3}


@pytest.mark.parametrize("changes", [{"is_started": True}, {"source": Source.HOOK}, {"runs_per_day": None}])
def test_what_goes_on_or_follows_counts_for_no_day(changes: dict[str, Any]) -> None:
    today = of_day(3)
    assert is_start(today.judge(facts(**{"runs_per_day": 3, **changes})))
    assert today.runs_of_day == {AGENT: 3}


def test_what_stands_back_has_not_begun() -> None:
    key = {"concurrency_key": "k", "runs_per_day": 9}
    today = Standing(NOW, {}, {(AGENT, "k"): 1}, {}, {AGENT: 0})
    assert isinstance(today.judge(facts(**key)), Hold)
    assert today.runs_of_day == {AGENT: 0}


def test_the_day_of_one_agent_is_not_that_of_another() -> None:
    assert is_start(of_day(3).judge(facts(agent_id=uuid4(), runs_per_day=3)))
