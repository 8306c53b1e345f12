"""What a token may do."""

from collections.abc import Iterable
from enum import StrEnum


class Scope(StrEnum):
    TASKS_READ = "tasks:read"
    TASKS_WRITE = "tasks:write"
    RUNS_READ = "runs:read"
    EVENTS_READ = "events:read"
    EVENTS_PUBLISH = "events:publish"
    AGENTS_READ = "agents:read"
    AGENTS_ADMIN = "agents:admin"
    AUDIT_READ = "audit:read"
    ADMIN = "admin"


DEFAULT_SCOPES = (
    Scope.TASKS_READ,
    Scope.TASKS_WRITE,
    Scope.RUNS_READ,
    Scope.EVENTS_READ,
    Scope.EVENTS_PUBLISH,
)


def is_granted(required: Scope, held: Iterable[str]) -> bool:
    """`admin` includes every other scope."""
    held_set = set(held)
    return required.value in held_set or Scope.ADMIN.value in held_set
