"""Agents as they are sent and answered."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.vocabulary.limits import (
    AGENT_NAME_CHARACTERS,
    MIN_INTERVAL_SECONDS_ADMIN,
    OWN_REQUESTS_PER_MINUTE,
    OWN_RUNS_PER_DAY,
    OWN_TASK_CREATIONS_PER_HOUR,
    OWN_TASKS_PER_AGENT,
)
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import AgentStatus

DAY_SECONDS = 86_400
URL_CHARACTERS = 2048
SCOPES_MAX = 32

AgentName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=AGENT_NAME_CHARACTERS)]
Scopes: TypeAlias = Annotated[list[str], msgspec.Meta(max_length=SCOPES_MAX)]
WebhookUrl: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARACTERS)]
AgentSort: TypeAlias = Literal["name", "-name", "created_at", "-created_at"]


class AgentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out follows the system's defaults. The days of `runs_per_day` are those of UTC."""

    active_tasks: Annotated[int, msgspec.Meta(ge=1, le=OWN_TASKS_PER_AGENT)] | UnsetType = UNSET
    min_interval_seconds: Annotated[int, msgspec.Meta(ge=MIN_INTERVAL_SECONDS_ADMIN, le=DAY_SECONDS)] | UnsetType = (
        UNSET
    )
    runs_per_day: Annotated[int, msgspec.Meta(ge=1, le=OWN_RUNS_PER_DAY)] | UnsetType = UNSET
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1, le=OWN_REQUESTS_PER_MINUTE)] | UnsetType = UNSET
    task_creations_per_hour: Annotated[int, msgspec.Meta(ge=1, le=OWN_TASK_CREATIONS_PER_HOUR)] | UnsetType = UNSET


class AgentCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `scopes`: those that an agent usually needs."""

    name: AgentName
    scopes: Scopes | None = None
    webhook_url: WebhookUrl | None = None
    limits: AgentLimits = AgentLimits()


class AgentUpdate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as it is. `scopes` and `limits` replace all there were; a `webhook_url` of null removes
    it."""

    name: AgentName | UnsetType = UNSET
    scopes: Scopes | UnsetType = UNSET
    status: AgentStatus | UnsetType = UNSET
    webhook_url: WebhookUrl | UnsetType | None = UNSET
    limits: AgentLimits | UnsetType = UNSET


class AgentFilter(msgspec.Struct, frozen=True):
    name_filter: str | None = None
    scope_filter: Scope | None = None
    status: AgentStatus | None = None


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
    """A disabled agent's tokens do not work, and what its tasks yield meanwhile is skipped, as `agent_disabled`."""

    id: UUID
    name: str
    scopes: list[str]
    status: AgentStatus
    webhook_url: str | None
    limits: AgentLimits
    version: int
    created_at: datetime
    updated_at: datetime


class AgentCreated(AgentView, frozen=True, kw_only=True):
    """`token` is shown this once; it is null when the answer is repeated for the same Idempotency-Key."""

    token: str | None
    token_key_id: str
    token_expires_at: datetime


class LimitsInEffect(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own limits, and the system's where it has none. Null: not limited."""

    active_tasks: int | None
    min_interval_seconds: int
    runs_per_day: int | None
    requests_per_minute: int | None
    task_creations_per_hour: int | None


class Usage(msgspec.Struct, frozen=True):
    """`active_tasks` is counted no further than 10,000. `runs_today`: begun since midnight in UTC; without a limit of
    runs per day, those that have ended, a few seconds late."""

    active_tasks: int
    runs_today: int


class OwnToken(msgspec.Struct, frozen=True):
    """The one with which this was asked."""

    key_id: str
    label: str
    expires_at: datetime | None


class OwnAgentView(AgentView, frozen=True, kw_only=True):
    limits_in_effect: LimitsInEffect
    usage: Usage
    current_token: OwnToken


class StoredAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it stands when a change begins. `limits`: decoded."""

    id: UUID
    name: str
    name_key: str
    scopes: list[str]
    status: AgentStatus
    webhook_url: str | None
    limits: Mapping[str, int]
    version: int
