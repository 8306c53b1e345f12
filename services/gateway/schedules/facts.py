"""PURE: what is known of a task's occurrences and of its changes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from services.gateway.audit.wire import Action
from services.gateway.tasks.changes import SCHEDULE
from shared.vocabulary.states import TaskStatus

COMPLETED = "task.completed"
STATUS_AFTER = {
    Action.TASK_PAUSED: TaskStatus.PAUSED,
    Action.TASK_RESUMED: TaskStatus.ACTIVE,
    Action.TASK_CANCELED: TaskStatus.CANCELED,
    COMPLETED: TaskStatus.COMPLETED,
}


class Waiting(msgspec.Struct, frozen=True):
    """A row of the queue. `is_pending`: no executor has it or had it."""

    id: UUID
    scheduled_for: datetime
    run_at: datetime
    source: str
    is_pending: bool


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    scheduled_for: datetime
    status: str
    source: str
    attempt: int
    skip_reason: str | None
    error: Mapping[str, Any] | None
    started_at: datetime | None
    finished_at: datetime | None


class Change(msgspec.Struct, frozen=True):
    """An entry of the audit trail."""

    at: datetime
    action: str
    details: Mapping[str, Any]

    @property
    def is_of_schedule(self) -> bool:
        changed = self.details.get("changed", {})
        return self.action == Action.TASK_UPDATED and not SCHEDULE.isdisjoint(changed)


class Facts(msgspec.Struct, frozen=True):
    """`changes` in the order in which they were made."""

    runs: Sequence[Run]
    waiting: Sequence[Waiting]
    changes: Sequence[Change]

    def status_at(self, instant: datetime) -> tuple[TaskStatus, datetime | None]:
        """How the task stood, as far as the trail tells, and since when."""
        status, since = TaskStatus.ACTIVE, None
        for change in self.changes:
            if change.at > instant:
                break
            after = STATUS_AFTER.get(change.action, status)
            if after != status:
                status, since = after, change.at
        return status, since

    def next_schedule_change(self, instant: datetime) -> datetime | None:
        return next((change.at for change in self.changes if change.at > instant and change.is_of_schedule), None)
