"""Agents as they are sent and answered."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from shared.vocabulary.limits import AGENT_NAME_CHARACTERS, MIN_INTERVAL_SECONDS_ADMIN
from shared.vocabulary.states import AgentStatus

DAY_SECONDS = 86_400
URL_CHARACTERS = 2048
SCOPES_MAX = 32


class AgentLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is left out follows the system's defaults."""

    min_interval_seconds: Annotated[int, msgspec.Meta(ge=MIN_INTERVAL_SECONDS_ADMIN, le=DAY_SECONDS)] | UnsetType = (
        UNSET
    )


class AgentCreate(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without `scopes`: those that an agent usually needs."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=AGENT_NAME_CHARACTERS)]
    scopes: Annotated[list[str], msgspec.Meta(max_length=SCOPES_MAX)] | None = None
    webhook_url: Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARACTERS)] | None = None
    limits: AgentLimits = AgentLimits()


class AgentView(msgspec.Struct, frozen=True, kw_only=True):
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
