"""Health as it is answered."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec


class Check(StrEnum):
    OK = "ok"
    # Works without it, later by at most one poll.
    DEGRADED = "degraded"
    FAILED = "failed"


class Checks(msgspec.Struct, frozen=True):
    """`migrations`: the database is at the revision that this code was written for. The services: their heartbeats.
    `work`: no due work has waited longer for an executor than the limit. `schedules`, `events`: the scheduler keeps up
    with making schedules due and with relaying events."""

    database: Check
    migrations: Check
    redis: Check
    scheduler: Check
    executor: Check
    work: Check
    schedules: Check
    events: Check

    @property
    def is_ready(self) -> bool:
        return Check.FAILED not in msgspec.structs.astuple(self)


class Instance(msgspec.Struct, frozen=True):
    service: str
    instance: str
    version: str
    silent_seconds: float


class Backlog(msgspec.Struct, frozen=True):
    """How long the oldest has been waiting; null when nothing waits."""

    work_seconds: float | None = None
    schedules_seconds: float | None = None
    events_seconds: float | None = None


class Details(msgspec.Struct, frozen=True):
    revision: str | None
    expected_revision: str
    instances: list[Instance]
    backlog: Backlog


class Look(msgspec.Struct, frozen=True):
    """What the database says. `revision` None: it was never migrated."""

    revision: str | None
    instances: Sequence[Instance] = ()
    backlog: Backlog = Backlog()


class Alive(msgspec.Struct, frozen=True):
    status: str = "alive"


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status` is ready or unavailable. `details` is for admins."""

    status: str
    checks: Checks
    details: Details | None = None


class ModuleHealth(msgspec.Struct, frozen=True):
    """Of the checks, those that this part of the API stands on. `status` is ready or unavailable."""

    module: str
    status: str
    checks: dict[str, Check]
