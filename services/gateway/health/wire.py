"""Health as it is answered."""

from enum import StrEnum

import msgspec


class Check(StrEnum):
    OK = "ok"
    # Works without it, later by at most one poll.
    DEGRADED = "degraded"
    FAILED = "failed"


class Checks(msgspec.Struct, frozen=True):
    """`migrations`: the database is at the revision that this code was written for. The services: their heartbeats."""

    database: Check
    migrations: Check
    redis: Check
    scheduler: Check
    executor: Check

    @property
    def is_ready(self) -> bool:
        return Check.FAILED not in msgspec.structs.astuple(self)


class Instance(msgspec.Struct, frozen=True):
    service: str
    instance: str
    version: str
    silent_seconds: float


class Details(msgspec.Struct, frozen=True):
    revision: str | None
    expected_revision: str
    instances: list[Instance]


class Alive(msgspec.Struct, frozen=True):
    status: str = "alive"


class Health(msgspec.Struct, frozen=True, omit_defaults=True):
    """`status` is ready or unavailable. `details` is for admins."""

    status: str
    checks: Checks
    details: Details | None = None
