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
    AGENT_CREATED = "agent.created"


class Entry(msgspec.Struct, frozen=True):
    """`details` of a change: each changed field with its value before and after."""

    actor_id: UUID
    actor_name: str
    action: Action
    subject_type: str
    subject_id: UUID
    details: Mapping[str, Any]
    request_id: str | None
    trace_id: str | None
