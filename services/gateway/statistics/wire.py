"""Statistics as they are answered, and of which period."""

from datetime import datetime
from uuid import UUID

import msgspec


class AskedPeriod(msgspec.Struct, frozen=True):
    """As a query says it: so many `days` up to now, or a range."""

    days: int | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


class Period(msgspec.Struct, frozen=True):
    """Whole hours of UTC, `until` exclusive. `days`: how long it has lasted so far."""

    since: datetime
    until: datetime
    days: float


class Durations(msgspec.Struct, frozen=True):
    """In milliseconds; null where nothing was measured. The average is exact, the percentiles within 5 %."""

    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


class RunCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs ended how. `failed`: finally, or after their last retry (`dead` of them). What is skipped, expired
    or canceled was not executed to its end."""

    total: int
    successful: int
    failed: int
    dead: int
    canceled: int
    skipped: int
    expired: int


class RunStatistics(RunCounts, frozen=True, kw_only=True):
    """Of runs that ended between `start_time` and `end_time`: whole hours of UTC that enclose what was asked for. The
    rates are shares of those that succeeded or failed. `execution`: from the first start to the outcome, with retries
    and waits, of those that succeeded or failed. `lateness`: from the nominal time to the first start, of those that
    began. The last run (one that began), success and failure are the newest that there are, be they outside the
    period."""

    start_time: datetime
    end_time: datetime
    success_rate: float | None
    failure_rate: float | None
    runs_per_day: float
    execution: Durations
    lateness: Durations
    last_run_at: datetime | None
    last_run_id: UUID | None
    last_success_at: datetime | None
    last_success_id: UUID | None
    last_failure_at: datetime | None
    last_failure_id: UUID | None


class TaskStatistics(RunStatistics, frozen=True, kw_only=True):
    task_id: UUID


class RunSummary(RunStatistics, frozen=True, kw_only=True):
    """`created_by`: whose runs these are; null for those of all agents. `tasks_executed`: of how many tasks a run began
    and ended in the period, exactly up to 10,000."""

    created_by: UUID | None
    tasks_executed: int
    is_tasks_executed_capped: bool
