"""Entries of the audit trail."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias
from uuid import UUID

import msgspec

Sort: TypeAlias = Literal["-at", "at"]


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
    RUN_STEP_COMPLETED = "run.step_completed"
    RUN_STEP_FAILED = "run.step_failed"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_REJECTED = "approval.rejected"
    TASK_HANDED_OVER = "task.handed_over"
    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_DISABLED = "agent.disabled"
    AGENT_ENABLED = "agent.enabled"
    AGENT_DELETED = "agent.deleted"
    AGENT_HANDED_OVER = "agent.handed_over"
    TOKEN_CREATED = "token.created"  # noqa: S105 (a word)
    TOKEN_ROTATED = "token.rotated"  # noqa: S105 (a word)
    TOKEN_REVOKED = "token.revoked"  # noqa: S105 (a word)
    SECRET_CREATED = "secret.created"  # noqa: S105 (a word)
    SECRET_REPLACED = "secret.replaced"  # noqa: S105 (a word)
    SECRET_DELETED = "secret.deleted"  # noqa: S105 (a word)
    EVENT_PUBLISHED = "event.published"
    EVENT_CLEANED_UP = "event.cleaned_up"
    TASK_EVENTS_REPLAYED = "task.events_replayed"
    AUTH_FAILED = "auth.failed"


class Entry(msgspec.Struct, frozen=True):
    """`details` of a change: each changed field with its value before and after. `actor_id` None: nobody who is
    known."""

    actor_id: UUID | None
    actor_name: str
    action: Action
    subject_type: str
    subject_id: UUID | str
    details: Mapping[str, Any]
    request_id: str | None
    trace_id: str | None


class EntryView(msgspec.Struct, frozen=True, kw_only=True):
    """Who changed what. `seq` grows from entry to entry, with gaps. `actor_id` is null for the system's own parts and
    for who is unknown. `details` of a change: `changed` holds each changed field with its value before and after."""

    seq: int
    at: datetime
    actor_id: UUID | None
    actor_name: str
    action: str
    subject_type: str
    subject_id: str
    details: dict[str, Any]
    request_id: str | None
    trace_id: str | None


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What None says nothing about. `actor`: an id, or a name. `action`: one, or all of a kind such as `task.*`.
    `start_time` inclusive, `end_time` exclusive."""

    actor: str | None = None
    action: str | None = None
    subject_type: str | None = None
    subject_id: str | None = None
    request_id: str | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None


class ExportFormat(StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"


class FaultKind(StrEnum):
    """`changed`: an entry or a seal says something else by now. `swapped`: an entry says what another one said.
    `deleted`: it is gone; `truncated`: so is everything before or behind it. `inserted`: it was not written when, or
    where, it claims to be. `sealer_behind`: entries wait too long for their seal."""

    CHANGED = "changed"
    DELETED = "deleted"
    SWAPPED = "swapped"
    INSERTED = "inserted"
    TRUNCATED = "truncated"
    SEALER_BEHIND = "sealer_behind"


class ChainFault(msgspec.Struct, frozen=True):
    """`seal` is null for what no seal covers yet. `seq`: the entry, where it can be known; else the seal is meant."""

    kind: FaultKind
    seal: int | None
    seq: int | None
    message: str


class ChainHead(msgspec.Struct, frozen=True):
    """A seal with its hash in hexadecimal digits. Kept elsewhere, it proves later what was there."""

    seal: int
    hash: str


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """`seals`, `entries`: how many were looked at. `unsealed`: entries that wait for their seal, mostly less than 2 s,
    counted up to 10,000. `head`: the newest seal. `is_faults_capped`: there are more faults than these.
    `next_seal`: where to go on (`from_seal`), when the time did not suffice; else null."""

    is_valid: bool
    seals: int
    entries: int
    unsealed: int
    head: ChainHead | None
    faults: list[ChainFault]
    is_faults_capped: bool
    next_seal: int | None
