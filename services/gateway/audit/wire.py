"""Entries of the audit trail."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class Action(StrEnum):
    TASK_CREATED = "task.created"
    TASK_UPDATED = "task.updated"
    TASK_PAUSED = "task.paused"
    TASK_RESUMED = "task.resumed"
    TASK_CANCELED = "task.canceled"
    TASK_RUN_NOW = "task.run_now"
    TASK_SNOOZED = "task.snoozed"
    TASK_OCCURRENCE_SKIPPED = "task.occurrence_skipped"
    RUN_CANCELED = "run.canceled"
    RUN_REPLAYED = "run.replayed"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_REJECTED = "approval.rejected"
    AGENT_CREATED = "agent.created"
    SECRET_CREATED = "secret.created"  # noqa: S105 (a word)
    SECRET_REPLACED = "secret.replaced"  # noqa: S105 (a word)
    SECRET_DELETED = "secret.deleted"  # noqa: S105 (a word)
    EVENT_PUBLISHED = "event.published"


class Entry(msgspec.Struct, frozen=True):
    """`details` of a change: each changed field with its value before and after."""

    actor_id: UUID
    actor_name: str
    action: Action
    subject_type: str
    subject_id: UUID | str
    details: Mapping[str, Any]
    request_id: str | None
    trace_id: str | None
