"""Tasks as they are sent and answered."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from services.gateway.http.replies import ActionDone
from services.gateway.runs.wire import RunStory
from shared.tasks import fields
from shared.tasks.wanted import TaskCreate
from shared.timing.exclusions import Exclusion
from shared.vocabulary.follow_up import FollowUp
from shared.vocabulary.limits import SEARCH_CHARACTERS, TASKS_PER_BATCH, TASKS_PER_BULK
from shared.vocabulary.pipeline import Payload
from shared.vocabulary.states import BackoffStrategy, MisfirePolicy, OverlapPolicy, ScheduleKind, TaskStatus

TaskSort: TypeAlias = Literal[
    "-created_at",
    "created_at",
    "-updated_at",
    "updated_at",
    "priority",
    "-priority",
    "title",
    "-title",
    "next_run_at",
    "-next_run_at",
]


class TaskUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is; null removes a value that may be absent."""

    title: fields.Title | UnsetType = UNSET
    description: fields.Description | UnsetType = UNSET
    schedule_kind: ScheduleKind | UnsetType = UNSET
    schedule_expr: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    payload: Payload | UnsetType = UNSET
    priority: fields.Priority | UnsetType = UNSET
    dedupe_key: fields.Key | UnsetType | None = UNSET
    dedupe_window_seconds: fields.Window | UnsetType = UNSET
    max_retries: fields.Retries | UnsetType = UNSET
    backoff_strategy: BackoffStrategy | UnsetType = UNSET
    timeout_seconds: fields.Timeout | UnsetType = UNSET
    concurrency_key: fields.Key | UnsetType | None = UNSET
    concurrency_limit: fields.ConcurrencyLimit | UnsetType = UNSET
    rate_limit: fields.RateLimit | UnsetType | None = UNSET
    expires_after_seconds: fields.ExpiresAfter | UnsetType | None = UNSET
    on_success: FollowUp | UnsetType | None = UNSET
    on_failure: FollowUp | UnsetType | None = UNSET
    pause_after_failures: fields.Failures | UnsetType | None = UNSET
    overlap_policy: OverlapPolicy | UnsetType = UNSET
    misfire_policy: MisfirePolicy | UnsetType = UNSET
    misfire_window_seconds: fields.Window | UnsetType = UNSET
    jitter_seconds: fields.Jitter | UnsetType = UNSET
    starts_at: fields.Moment | UnsetType | None = UNSET
    ends_at: fields.Moment | UnsetType | None = UNSET
    max_runs: fields.Runs | UnsetType | None = UNSET
    exclusions: fields.Exclusions | UnsetType = UNSET
    event_filter: fields.EventFilter | UnsetType | None = UNSET
    tags: fields.Tags | UnsetType = UNSET


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An action that takes no options: the body may be left out, or be an empty object."""


class PauseOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note` says why; `until` is when the task is to be active again by itself. Both may be changed, or removed by
    null, while the task is paused."""

    note: fields.Note | UnsetType | None = UNSET
    until: fields.Moment | UnsetType | None = UNSET


class SnoozeOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `delay_seconds`, counted from when the occurrence was to run, and `until`."""

    delay_seconds: fields.Delay | None = None
    until: fields.Moment | None = None
    reason: fields.Note | None = None


class SkipOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`scheduled_for` is the exact nominal time of the occurrence, as `upcoming` shows it."""

    scheduled_for: fields.Moment
    reason: fields.Note | None = None


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What None says nothing about. `q` is part of the title, in capitals or not. `next_run_after` inclusive,
    `next_run_before` exclusive."""

    status: TaskStatus | None = None
    schedule_kind: ScheduleKind | None = None
    created_by: UUID | None = None
    tag: str | None = None
    priority: int | None = None
    dedupe_key: str | None = None
    q: str | None = None
    next_run_after: datetime | None = None
    next_run_before: datetime | None = None
    ids: list[UUID] | None = None
    created_after: datetime | None = None


class RawBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose tasks are yet to be read, so that the faults of all are told."""

    tasks: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=TASKS_PER_BATCH)]


class TaskBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    tasks: Annotated[list[TaskCreate], msgspec.Meta(min_length=1, max_length=TASKS_PER_BATCH)]


class BatchedTask(msgspec.Struct, frozen=True, kw_only=True):
    """`is_new` false: an earlier task stands for it, within its dedupe_window_seconds."""

    id: UUID
    title: str
    dedupe_key: str | None
    next_run_at: datetime | None
    version: int
    is_new: bool


class TasksCreated(msgspec.Struct, frozen=True):
    """`items` in the order in which they were sent. `created`: how many of them are new."""

    items: list[BatchedTask]
    created: int


class BulkFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As in `GET /tasks`; at least one of them. What is left out says nothing."""

    status: TaskStatus | None = None
    schedule_kind: ScheduleKind | None = None
    created_by: UUID | None = None
    tag: fields.Tag | None = None
    priority: fields.Priority | None = None
    q: Annotated[str, msgspec.Meta(min_length=1, max_length=SEARCH_CHARACTERS)] | None = None
    ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=TASKS_PER_BULK)] | None = None


class BulkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`dry_run`: only say which tasks are meant. `note`: goes into the audit trail, and becomes the note of a pause."""

    filter: BulkFilter
    dry_run: bool = False
    note: fields.Note | None = None


class BulkFailure(msgspec.Struct, frozen=True):
    id: UUID
    error_code: str
    message: str


class BulkExample(msgspec.Struct, frozen=True):
    id: UUID
    title: str
    status: TaskStatus


class BulkDetails(msgspec.Struct, frozen=True, kw_only=True):
    """`matched`: how many tasks the filter means that the action can change, counted up to 10,000. `unchanged`: those
    that were so already. `remaining`: how many of the matched were not looked at; ask again for them. `examples`: the
    first of them, in a dry run."""

    matched: int
    changed: int = 0
    unchanged: int = 0
    failed: list[BulkFailure] = []
    remaining: int = 0
    examples: list[BulkExample] = []


class BulkDone(msgspec.Struct, frozen=True):
    message: str
    details: BulkDetails
    success: bool = True


class RunNowDone(ActionDone, frozen=True):
    """`run`: as it stands when the wait is over; null where nobody waits."""

    run: RunStory | None = None


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task as its owner sees it. Instants are UTC. `next_run_at` is null when nothing is ahead."""

    id: UUID
    title: str
    description: str
    schedule_kind: ScheduleKind
    schedule_expr: str
    timezone: str
    payload: Payload
    status: TaskStatus
    status_note: str | None
    paused_until: datetime | None
    schedule_error: str | None
    priority: int
    dedupe_key: str | None
    dedupe_window_seconds: int
    max_retries: int
    backoff_strategy: BackoffStrategy
    timeout_seconds: int
    concurrency_key: str | None
    concurrency_limit: int
    rate_limit: fields.RateLimit | None
    expires_after_seconds: int | None
    on_success: FollowUp | None
    on_failure: FollowUp | None
    pause_after_failures: int | None
    overlap_policy: OverlapPolicy
    misfire_policy: MisfirePolicy
    misfire_window_seconds: int
    jitter_seconds: int
    starts_at: datetime | None
    ends_at: datetime | None
    max_runs: int | None
    exclusions: list[Exclusion]
    event_filter: str | None
    tags: list[str]
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    version: int
    next_run_at: datetime | None
