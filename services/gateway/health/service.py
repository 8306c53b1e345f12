"""Whether the system works, seen from here: told within two seconds whatever is down, looked up at most twice a
second."""

import asyncio
import time

import asyncpg
import structlog
from redis.asyncio import Redis

from services.gateway.health.judgement import CHECKS_OF_MODULES, judge
from services.gateway.health.repository import look, redis_answers
from services.gateway.health.wire import Check, Checks, Details, Health, Look, ModuleHealth
from shared.database.faults import DATABASE_ERRORS

logger = structlog.get_logger(__name__)

ASK_SECONDS = 1.5
FRESH_SECONDS = 0.5


class HealthService:
    """Has connections of its own: it must answer while the others are all at work."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, expected_revision: str, work_limit_seconds: float) -> None:
        self._pool = pool
        self._redis = redis
        self._expected_revision = expected_revision
        self._work_limit_seconds = work_limit_seconds
        self._lock = asyncio.Lock()
        self._asked_at = 0.0
        self._last: tuple[Look | None, bool] = (None, False)

    async def health(self, *, with_details: bool = False) -> Health:
        checks, seen = await self._judged()
        details = None
        if with_details and seen is not None:
            details = Details(seen.revision, self._expected_revision, [*seen.instances], seen.backlog)
        return Health(_status(is_ready=checks.is_ready), checks, details)

    async def module(self, module: str) -> ModuleHealth:
        checks, _ = await self._judged()
        own: dict[str, Check] = {name: getattr(checks, name) for name in CHECKS_OF_MODULES[module]}
        return ModuleHealth(module, _status(is_ready=Check.FAILED not in own.values()), own)

    async def _judged(self) -> tuple[Checks, Look | None]:
        seen, is_redis_there = await self._seen()
        checks = judge(
            seen,
            is_redis_there=is_redis_there,
            expected_revision=self._expected_revision,
            work_limit_seconds=self._work_limit_seconds,
        )
        return checks, seen

    async def _seen(self) -> tuple[Look | None, bool]:
        async with self._lock:
            if time.monotonic() - self._asked_at > FRESH_SECONDS:
                self._last = await asyncio.gather(self._look(), self._ask_redis())
                self._asked_at = time.monotonic()
            return self._last

    async def _look(self) -> Look | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await look(self._pool)
        except DATABASE_ERRORS as error:
            logger.warning("database_not_healthy", error=repr(error))
            return None

    async def _ask_redis(self) -> bool:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return await redis_answers(self._redis)
        except TimeoutError:
            return False


def _status(*, is_ready: bool) -> str:
    return "ready" if is_ready else "unavailable"
