"""One claimed piece of due work, as the claim returns it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.vocabulary.states import BackoffStrategy, Source


class Work(msgspec.Struct, frozen=True):
    """The columns of `claim`, in its order. `attempt` counts from 1; `fence` grows with every claim."""

    id: UUID
    fence: int
    attempt: int
    task_id: UUID
    agent_id: UUID
    scheduled_for: datetime
    source: Source
    event: Mapping[str, Any] | None
    traceparent: str | None
    claimed_at: datetime
    is_cancel_requested: bool
    payload: Mapping[str, Any]
    timeout_seconds: int
    max_retries: int
    backoff_strategy: BackoffStrategy
