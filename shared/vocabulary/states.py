"""The closed sets of words in which tasks, occurrences and runs are described."""

from enum import StrEnum


class AgentStatus(StrEnum):
    ACTIVE = "active"
    DISABLED = "disabled"


class TaskStatus(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    CANCELED = "canceled"
    COMPLETED = "completed"


class ScheduleKind(StrEnum):
    CRON = "cron"
    RRULE = "rrule"
    ONCE = "once"
    EVENT = "event"


class Source(StrEnum):
    """What made an occurrence."""

    SCHEDULE = "schedule"
    EVENT = "event"
    MANUAL = "manual"
    BACKFILL = "backfill"
    HOOK = "hook"


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEAD = "dead"
    CANCELED = "canceled"
    SKIPPED = "skipped"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self in FINAL_RUN_STATUSES


FINAL_RUN_STATUSES = frozenset(
    {
        RunStatus.SUCCEEDED,
        RunStatus.FAILED,
        RunStatus.DEAD,
        RunStatus.CANCELED,
        RunStatus.SKIPPED,
        RunStatus.EXPIRED,
    }
)


class StepStatus(StrEnum):
    """Where a step of a run stands. `waiting`: its run is parked until something answers or a time comes."""

    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def is_final(self) -> bool:
        return self in (StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED)


class WaitKind(StrEnum):
    """What a parked run waits for."""

    SLEEP = "sleep"
    CALLBACK = "callback"
    APPROVAL = "approval"
    INBOX = "inbox"


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"


class SettledAs(StrEnum):
    """What became of a message in an inbox. `dead`: delivered too often, or given up by its agent."""

    ACKED = "acked"
    DEAD = "dead"
    EXPIRED = "expired"


class BackoffStrategy(StrEnum):
    EXPONENTIAL_JITTER = "exponential_jitter"
    EXPONENTIAL = "exponential"
    LINEAR = "linear"
    FIXED = "fixed"


class OverlapPolicy(StrEnum):
    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    BUFFER_ALL = "buffer_all"
    CANCEL_OTHER = "cancel_other"
    ALLOW_ALL = "allow_all"


class MisfirePolicy(StrEnum):
    """What becomes of occurrences whose time passed while nobody could materialise them."""

    LATEST = "latest"
    ALL = "all"
    SKIP = "skip"


class SkipReason(StrEnum):
    """Why an occurrence was recorded without being executed."""

    MISFIRE_COALESCED = "misfire_coalesced"
    MISFIRE_TOO_OLD = "misfire_too_old"
    MISFIRE_SKIPPED = "misfire_skipped"
    MISFIRE_OVER_CAP = "misfire_over_cap"
    TASK_PAUSED = "task_paused"
    TASK_CANCELED = "task_canceled"
    SCHEDULE_CHANGED = "schedule_changed"
    SKIPPED_BY_REQUEST = "skipped_by_request"
    OVERLAP = "overlap"
    OVERLAP_REPLACED = "overlap_replaced"
    OVERLAP_BUFFER_FULL = "overlap_buffer_full"
    AGENT_DISABLED = "agent_disabled"
    QUOTA_EXCEEDED = "quota_exceeded"


class ErrorClass(StrEnum):
    """The kinds of failure that a run can show."""

    TIMEOUT = "timeout"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    CONNECT = "connect"
    DNS = "dns"
    FORBIDDEN_DESTINATION = "forbidden_destination"
    TEMPLATE = "template"
    TOOL = "tool"
    CANCELED = "canceled"
    LEASE_LOST = "lease_lost"
    INTERNAL = "internal"
