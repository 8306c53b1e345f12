"""Events as they are sent and answered."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class EventCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topic` has no bounds here, so that every topic is refused in its own words. `source_agent_id`: the agent from
    which the event comes; only an admin may name another than itself."""

    topic: str
    payload: dict[str, Any] = {}
    source_agent_id: UUID | None = None


class EventPublished(msgspec.Struct, frozen=True):
    """`listeners`: how many tasks run because of it."""

    id: UUID
    topic: str
    listeners: int
    published_at: datetime
    depth: int
