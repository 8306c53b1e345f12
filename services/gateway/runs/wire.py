"""Runs as they are answered."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.vocabulary.states import RunStatus, Source


class RunFilter(msgspec.Struct, frozen=True):
    """What None says nothing about. `start_time` inclusive, `end_time` exclusive, both of `scheduled_for`."""

    task_id: UUID | None = None
    status: RunStatus | None = None
    success: bool | None = None
    source: Source | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


class RunError(msgspec.Struct, frozen=True, rename={"error_class": "class"}):
    """The kind of failure, in words, and whether another attempt could succeed."""

    error_class: str
    message: str
    retryable: bool


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence and what became of it. `success` is null until it has an outcome. In a list, an output that is
    large is left out: `is_output_omitted` says so."""

    id: UUID
    task_id: UUID
    scheduled_for: datetime
    status: RunStatus
    success: bool | None
    attempt: int
    source: Source
    started_at: datetime | None
    finished_at: datetime | None
    lease_owner: str | None
    error: RunError | None
    output: dict[str, Any] | None
    is_output_omitted: bool
    skip_reason: str | None
    trace_id: str | None
    created_by: UUID
