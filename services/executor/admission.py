"""PURE: whether claimed work may start now: its agent, its deadline, overlap, concurrency, rate, runs of the day."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from shared.vocabulary.limits import BUFFERED_RUNS
from shared.vocabulary.states import OverlapPolicy, SkipReason, Source, TaskStatus

# What began within this time of when it was due was on time: whatever came due beside it overlaps. What was due longer
# before the other began is late because nobody could run it, and waits for its turn instead.
ON_TIME = timedelta(seconds=1)
# The end of a run lets the next one go. Whoever is next looks again soon all the same, in case that the two crossed;
# the rest look the more seldom the longer the line is, so that it costs the others nothing.
HOLD_FIRST_SECONDS = 2.0
HOLD_SECONDS = 60.0
# By then its executor has told again that it lives, or is not there any more.
UNSURE_SECONDS = 1.2
HOLD_SECONDS_EACH = 0.5
# A start may be seen a moment after the time that was reserved for it.
RATE_MARGIN = timedelta(milliseconds=50)


STOPPED: Mapping[TaskStatus, SkipReason] = MappingProxyType(
    {TaskStatus.PAUSED: SkipReason.TASK_PAUSED, TaskStatus.CANCELED: SkipReason.TASK_CANCELED}
)


class RateLimit(msgspec.Struct, frozen=True):
    """At most `limit` starts within `period_seconds`; tasks of an agent that name the same `key` share it."""

    limit: int
    period_seconds: float
    key: str | None = None


class Holder(msgspec.Struct, frozen=True):
    """The run of the task that is in progress. `seen_at`: when it was last known to be so; `lost_at`: when its executor
    was last found to be lost."""

    id: UUID
    started_at: datetime
    seen_at: datetime
    lost_at: datetime | None = None

    def was_in_progress(self, at: datetime) -> bool | None:
        """None: nobody knows yet. A run whose executor was lost in the meantime was not."""
        if self.started_at - at > ON_TIME or (self.lost_at is not None and self.lost_at >= at):
            return False
        return True if self.seen_at >= at else None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one claimed row. `waiting`: rows of its task that stand back, as far as they were counted;
    `is_behind`: one of them was due before it. `was_overlapped`: it is to be skipped beside a run in progress, and one
    that has ended since was so when it came due. `is_of_this_revision`: its task was not changed since it was made."""

    id: UUID
    fence: int
    task_id: UUID
    agent_id: UUID
    run_at: datetime
    scheduled_for: datetime
    source: Source
    is_started: bool
    serial_key: UUID | None
    is_agent_active: bool
    task_status: TaskStatus
    is_of_this_revision: bool
    overlap_policy: OverlapPolicy
    concurrency_key: str | None
    concurrency_limit: int
    expires_after_seconds: int | None
    rate_limit: RateLimit | None
    is_rate_reserved: bool
    waiting: int
    is_behind: bool
    was_overlapped: bool
    runs_per_day: int | None = None

    @property
    def counts_for_day(self) -> bool:
        """Once, when it begins; what follows an outcome belongs to the run before it."""
        return self.runs_per_day is not None and not self.is_started and self.source is not Source.HOOK

    @property
    def window(self) -> tuple[UUID, str] | None:
        if self.rate_limit is None or self.is_rate_reserved or self.is_started or self.source is Source.HOOK:
            return None
        return self.agent_id, self.rate_limit.key or f"task:{self.task_id}"

    @property
    def slot(self) -> tuple[UUID, str] | None:
        return None if self.concurrency_key is None else (self.agent_id, self.concurrency_key)


class Start(msgspec.Struct, frozen=True):
    """It runs now. `serial_key` marks the task as in progress."""

    serial_key: UUID | None
    holds_slot: bool


class Hold(msgspec.Struct, frozen=True):
    """It stands back, and looks again after that time unless it is let go before."""

    seconds: float


class Delay(msgspec.Struct, frozen=True):
    """Its start is reserved for a later time."""

    until: datetime


class Skip(msgspec.Struct, frozen=True):
    reason: SkipReason


class Withdraw(msgspec.Struct, frozen=True):
    """Its task was stopped or changed while it was looked at."""

    reason: SkipReason


class Expire(msgspec.Struct, frozen=True):
    """Its time to begin is over."""

    after_seconds: int


Verdict = Start | Hold | Delay | Skip | Withdraw | Expire


class Standing:
    """How things stand while the rows of a batch are judged, each in the knowledge of those before it."""

    def __init__(
        self,
        now: datetime,
        holders: Mapping[UUID, Holder],
        slots: Mapping[tuple[UUID, str], int],
        windows: Mapping[tuple[UUID, str], Sequence[datetime]],
        runs_of_day: Mapping[UUID, int] = MappingProxyType({}),
    ) -> None:
        self.now = now
        self.runs_of_day = dict(runs_of_day)
        self.windows = {key: list(starts) for key, starts in windows.items()}
        self._holders = dict(holders)
        self._slots = dict(slots)
        self._held: dict[UUID, int] = {}

    def judge(self, facts: Facts) -> Verdict:
        verdict = self._refusal(facts) or self._overlap(facts) or self._slot(facts) or self._rate(facts)
        if verdict is None:
            verdict = self._start(facts)
        if isinstance(verdict, Hold):
            self._held[facts.task_id] = self._held.get(facts.task_id, 0) + 1
        return verdict

    def _refusal(self, facts: Facts) -> Verdict | None:
        if not facts.is_agent_active:
            return Skip(SkipReason.AGENT_DISABLED)
        if facts.is_started or facts.source is Source.HOOK:
            return None
        if facts.task_status in STOPPED:
            return Withdraw(STOPPED[facts.task_status])
        if not facts.is_of_this_revision:
            return Withdraw(SkipReason.SCHEDULE_CHANGED)
        after = facts.expires_after_seconds
        if after is not None and self.now > facts.scheduled_for + timedelta(seconds=after):
            return Expire(after)
        return self._spent_day(facts)

    def _spent_day(self, facts: Facts) -> Skip | None:
        if not facts.counts_for_day or facts.runs_per_day is None:
            return None
        begun = self.runs_of_day.get(facts.agent_id, 0)
        return Skip(SkipReason.QUOTA_EXCEEDED) if begun >= facts.runs_per_day else None

    def _overlap(self, facts: Facts) -> Verdict | None:
        if facts.is_started or not is_serial(facts):
            return None
        holder = self._holders.get(facts.task_id)
        if holder is None and facts.was_overlapped:
            return Skip(SkipReason.OVERLAP)
        if holder is None:
            return Hold(HOLD_FIRST_SECONDS) if facts.is_behind else None
        return overlapping(facts, holder, self._waiting(facts))

    def _waiting(self, facts: Facts) -> int:
        return facts.waiting + self._held.get(facts.task_id, 0)

    def _slot(self, facts: Facts) -> Verdict | None:
        if facts.slot is None or self._slots.get(facts.slot, 0) < facts.concurrency_limit:
            return None
        return _hold(self._waiting(facts))

    def _rate(self, facts: Facts) -> Verdict | None:
        if facts.window is None or facts.rate_limit is None:
            return None
        start_at, self.windows[facts.window] = reserve(self.windows.get(facts.window, ()), self.now, facts.rate_limit)
        return Delay(start_at) if start_at > self.now else None

    def _start(self, facts: Facts) -> Start:
        if facts.slot is not None:
            self._slots[facts.slot] = self._slots.get(facts.slot, 0) + 1
        if facts.counts_for_day:
            self.runs_of_day[facts.agent_id] = self.runs_of_day.get(facts.agent_id, 0) + 1
        if facts.is_started:
            return Start(facts.serial_key, facts.slot is not None)
        if not is_serial(facts):
            return Start(None, facts.slot is not None)
        self._holders[facts.task_id] = Holder(facts.id, self.now, self.now)
        return Start(facts.task_id, facts.slot is not None)


def overlapping(facts: Facts, holder: Holder, waiting: int) -> Hold | Skip:
    """What becomes of an occurrence whose task has a run in progress, while `waiting` others stand back already."""
    match facts.overlap_policy:
        case OverlapPolicy.SKIP:
            was_in_progress = holder.was_in_progress(facts.run_at)
            if was_in_progress is None:
                return Hold(UNSURE_SECONDS)
            return Skip(SkipReason.OVERLAP) if was_in_progress else _hold(waiting)
        case OverlapPolicy.BUFFER_ONE if waiting:
            return Skip(SkipReason.OVERLAP_BUFFER_FULL)
        case OverlapPolicy.BUFFER_ALL if waiting >= BUFFERED_RUNS:
            return Skip(SkipReason.OVERLAP_BUFFER_FULL)
        case OverlapPolicy.CANCEL_OTHER:
            return Hold(HOLD_FIRST_SECONDS)
        case _:
            return _hold(waiting)


def reserve(starts: Sequence[datetime], now: datetime, rate: RateLimit) -> tuple[datetime, list[datetime]]:
    """When the next start may be, and the starts that count from then on: no window of the period holds more than
    `limit` of them. A task with a larger limit may share the window, so that no shorter one is given back."""
    counted = list(starts[-rate.limit :])
    if len(counted) < rate.limit:
        start_at = max([now, *counted[-1:]])
    else:
        start_at = max(now, counted[0] + timedelta(seconds=rate.period_seconds) + RATE_MARGIN)
    return start_at, [*starts, start_at][-max(rate.limit, len(starts)) :]


def is_serial(facts: Facts) -> bool:
    return facts.overlap_policy is not OverlapPolicy.ALLOW_ALL and facts.source is not Source.HOOK


def _hold(waiting: int) -> Hold:
    return Hold(HOLD_SECONDS + HOLD_SECONDS_EACH * waiting if waiting else HOLD_FIRST_SECONDS)
