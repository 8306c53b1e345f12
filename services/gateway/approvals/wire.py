"""Requests for approval as they are shown, and decisions as they are sent."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from shared.vocabulary.limits import NOTE_CHARACTERS
from shared.vocabulary.states import ApprovalStatus


class ApprovalView(msgspec.Struct, frozen=True, kw_only=True):
    """A step that waits for a decision, or has waited for it. `created_by` is the agent that owns the task;
    `decided_by` the name of the one who decided, null when time did. `expired`: nobody decided in time, or the run has
    ended otherwise."""

    id: UUID
    task_id: UUID
    run_id: UUID
    step_id: str
    created_by: UUID
    prompt: str
    details: dict[str, Any]
    status: ApprovalStatus
    deadline_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str | None
    created_at: datetime


class DecisionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`note` says why."""

    note: Annotated[str, msgspec.Meta(min_length=1, max_length=NOTE_CHARACTERS)] | None = None
