"""A task as it is asked for."""

from uuid import UUID

import msgspec

from shared.tasks import fields
from shared.vocabulary.follow_up import FollowUp
from shared.vocabulary.limits import (
    MAX_RETRIES_DEFAULT,
    MISFIRE_WINDOW_SECONDS_DEFAULT,
    PRIORITY_DEFAULT,
    TIMEOUT_SECONDS_DEFAULT,
)
from shared.vocabulary.pipeline import Payload
from shared.vocabulary.states import BackoffStrategy, MisfirePolicy, OverlapPolicy, ScheduleKind


class TaskCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The schedule's texts have no bounds here, so that every schedule is refused in its own words.
    `created_by`: the agent that is to own the task; only an admin may name another than itself."""

    title: fields.Title
    description: fields.Description = ""
    schedule_kind: ScheduleKind
    schedule_expr: str
    timezone: str = fields.TIMEZONE_DEFAULT
    payload: Payload
    priority: fields.Priority = PRIORITY_DEFAULT
    dedupe_key: fields.Key | None = None
    dedupe_window_seconds: fields.Window = 0
    max_retries: fields.Retries = MAX_RETRIES_DEFAULT
    backoff_strategy: BackoffStrategy = BackoffStrategy.EXPONENTIAL_JITTER
    timeout_seconds: fields.Timeout = TIMEOUT_SECONDS_DEFAULT
    concurrency_key: fields.Key | None = None
    concurrency_limit: fields.ConcurrencyLimit = fields.CONCURRENCY_LIMIT_DEFAULT
    rate_limit: fields.RateLimit | None = None
    expires_after_seconds: fields.ExpiresAfter | None = None
    on_success: FollowUp | None = None
    on_failure: FollowUp | None = None
    pause_after_failures: fields.Failures | None = None
    overlap_policy: OverlapPolicy = OverlapPolicy.SKIP
    misfire_policy: MisfirePolicy = MisfirePolicy.LATEST
    misfire_window_seconds: fields.Window = MISFIRE_WINDOW_SECONDS_DEFAULT
    jitter_seconds: fields.Jitter = 0
    starts_at: fields.Moment | None = None
    ends_at: fields.Moment | None = None
    max_runs: fields.Runs | None = None
    exclusions: fields.Exclusions = []
    event_filter: fields.EventFilter | None = None
    tags: fields.Tags = []
    created_by: UUID | None = None
