"""PURE: the closed set of words for what became, or will become, of an occurrence."""

from enum import StrEnum


class What(StrEnum):
    """Those of a run, and those of an occurrence that has none."""

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
    # Waits in the queue.
    PENDING = "pending"
    # Will be put into the queue shortly before its time.
    PLANNED = "planned"
    # Left out by a bound or a blackout of the task.
    EXCLUDED = "excluded"
    # The task was not active, did not exist or had another schedule.
    NOT_PLANNED = "not_planned"
