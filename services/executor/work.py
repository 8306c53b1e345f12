"""One claimed piece of due work, as the claim returns it."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from shared.vocabulary.states import BackoffStrategy, Source

W = TypeVar("W", bound=StrEnum)


class Work(msgspec.Struct, frozen=True):
    """The columns of `claim`, in its order. `attempt` counts from 1; `fence` grows with every claim. What is not
    admitted has not started: its limits are looked at first. `unended_starts` counts the starts, this one included,
    since anything was recorded: more than one, and the work may have taken its executors with it."""

    id: UUID
    fence: int
    attempt: int
    task_id: UUID
    agent_id: UUID
    schedule_rev: int
    scheduled_for: datetime
    source: Source
    event: Mapping[str, Any] | None
    traceparent: str | None
    unended_starts: int
    claimed_at: datetime
    is_cancel_requested: bool
    is_admitted: bool
    payload: Mapping[str, Any]
    title: str
    tags: list[str]
    task_version: int
    timeout_seconds: int
    max_retries: int
    backoff_strategy: BackoffStrategy
    pause_after_failures: int | None
    on_success: Mapping[str, Any] | None
    on_failure: Mapping[str, Any] | None


def known_word(words: type[W], word: str, otherwise: W) -> W:
    """What a newer version may have written becomes a word that is known here."""
    return next((known for known in words if known == word), otherwise)
