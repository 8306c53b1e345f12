"""Whether the system works, seen from here: told within two seconds whatever is down, looked up at most twice a
second."""

import asyncio
import time

import asyncpg
import structlog
from redis.asyncio import Redis

from services.gateway.health.repository import Look, look, redis_answers
from services.gateway.health.wire import Check, Checks, Details, Health
from shared.database.faults import DATABASE_ERRORS
from shared.runtime.heartbeat import SILENT_AFTER_SECONDS

logger = structlog.get_logger(__name__)

ASK_SECONDS = 1.5
FRESH_SECONDS = 0.5


class HealthService:
    """Has connections of its own: it must answer while the others are all at work."""

    def __init__(self, pool: asyncpg.Pool, redis: Redis, expected_revision: str) -> None:
        self._pool = pool
        self._redis = redis
        self._expected_revision = expected_revision
        self._lock = asyncio.Lock()
        self._asked_at = 0.0
        self._last: tuple[Look | None, bool] = (None, False)

    async def health(self, *, with_details: bool = False) -> Health:
        seen, is_redis_there = await self._seen()
        checks = judge(seen, is_redis_there=is_redis_there, expected_revision=self._expected_revision)
        details = None
        if with_details and seen is not None:
            details = Details(seen.revision, self._expected_revision, [*seen.instances])
        return Health("ready" if checks.is_ready else "unavailable", checks, details)

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


def judge(seen: Look | None, *, is_redis_there: bool, expected_revision: str) -> Checks:
    """PURE. Redis only rings: without it the system works, so that it degrades health and never fails it."""
    redis = Check.OK if is_redis_there else Check.DEGRADED
    if seen is None:
        return Checks(Check.FAILED, Check.FAILED, redis, Check.FAILED, Check.FAILED)
    alive = {each.service for each in seen.instances if each.silent_seconds <= SILENT_AFTER_SECONDS}
    return Checks(
        database=Check.OK,
        migrations=_ok(seen.revision == expected_revision),
        redis=redis,
        scheduler=_ok("scheduler" in alive),
        executor=_ok("executor" in alive),
    )


def _ok(is_ok: bool) -> Check:
    return Check.OK if is_ok else Check.FAILED
