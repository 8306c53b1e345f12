"""How often an agent may ask, and how many tasks it may create: declared beside each route, or held for all of them."""

from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec
from litestar.handlers import BaseRouteHandler

from services.gateway.auth.wire import Identity
from services.gateway.limits.account import Bucket, Standing
from services.gateway.limits.gcra import Rate
from services.gateway.limits.limiter import Limiter
from shared.vocabulary.faults import Fault, Forbidden, TooManyRequests

OPTION = "rate_class"
MINUTE_SECONDS, HOUR_SECONDS = 60, 3600
# Fetched ahead at most: a fiftieth of what a minute allows, a thousandth of what an hour allows.
GENERAL_LEASES, CREATION_LEASES = 50, 1000
BUCKETS = 10_000


class RateClass(StrEnum):
    """`general` holds for every request of an agent, whichever its route."""

    GENERAL = "general"
    TASK_CREATION = "task_creation"


def creates_tasks() -> dict[str, Any]:
    """Of a route whose 201 says that tasks were created: each counts against the agent's creations per hour."""
    return {OPTION: RateClass.TASK_CREATION}


def rate_class_of(handler: BaseRouteHandler) -> RateClass | None:
    rate_class: RateClass | None = handler.opt.get(OPTION)
    return rate_class


class Defaults(msgspec.Struct, frozen=True):
    """For agents without limits of their own."""

    requests_per_minute: int = 6000
    task_creations_per_hour: int = 100


class RequestLimits:
    """An admin is limited only where its own limits say so."""

    def __init__(self, limiter: Limiter, defaults: Defaults) -> None:
        self._limiter = limiter
        self._defaults = defaults
        self._known: dict[tuple[RateClass, UUID, int], Bucket] = {}

    async def request(self, caller: Identity) -> Standing | None:
        """None for who is not limited."""
        limit = self._limit(caller, caller.limits.requests_per_minute, self._defaults.requests_per_minute)
        return None if limit is None else await self._limiter.spend(self._general(caller.agent_id, limit))

    async def request_of_run(self, run_id: UUID) -> Standing:
        """Whoever speaks for a step of a run."""
        return await self._limiter.spend(self._general(run_id, self._defaults.requests_per_minute))

    async def creation(self, caller: Identity, tasks: int) -> Standing | None:
        """Raises Forbidden for more tasks than could ever be created at once: waiting would not help."""
        limit = self._creations(caller)
        if limit is None:
            return None
        if tasks > limit:
            message = f"These are {tasks} tasks, and this agent may create {limit} per hour."
            raise Forbidden(message, error_code="quota_exceeded")
        return await self._limiter.spend(self._creation(caller.agent_id, limit), tasks)

    async def not_created(self, caller: Identity, tasks: int) -> Standing | None:
        """What was counted and then not created."""
        limit = self._creations(caller)
        return None if limit is None else await self._limiter.give_back(self._creation(caller.agent_id, limit), tasks)

    def allowed(self, caller: Identity) -> tuple[int | None, int | None]:
        """Requests per minute, and creations of tasks per hour; None: as many as it likes."""
        own, default = caller.limits.requests_per_minute, self._defaults.requests_per_minute
        return self._limit(caller, own, default), self._creations(caller)

    def _creations(self, caller: Identity) -> int | None:
        return self._limit(caller, caller.limits.task_creations_per_hour, self._defaults.task_creations_per_hour)

    @staticmethod
    def _limit(caller: Identity, own: int | None, default: int) -> int | None:
        if own is not None:
            return own
        return None if caller.is_admin else default

    def _general(self, owner: UUID, limit: int) -> Bucket:
        return self._bucket(RateClass.GENERAL, owner, limit, MINUTE_SECONDS, GENERAL_LEASES)

    def _creation(self, owner: UUID, limit: int) -> Bucket:
        return self._bucket(RateClass.TASK_CREATION, owner, limit, HOUR_SECONDS, CREATION_LEASES)

    def _bucket(self, rate_class: RateClass, owner: UUID, limit: int, period_seconds: int, leases: int) -> Bucket:
        key = (rate_class, owner, limit)
        bucket = self._known.get(key)
        if bucket is None:
            if len(self._known) >= BUCKETS:
                self._known.clear()
            bucket = Bucket(f"{rate_class}:{owner}", Rate(limit, period_seconds), max(1, limit // leases))
            self._known[key] = bucket
        return bucket


def refused(standing: Standing, what: str) -> Fault:
    seconds = standing.retry_after_seconds
    return TooManyRequests(f"{what} Ask again in {seconds} s.", error_code="rate_limited", retry_after_seconds=seconds)
