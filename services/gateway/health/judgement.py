"""PURE: what was seen of the stores and the services, as checks."""

from collections.abc import Mapping
from types import MappingProxyType

from services.gateway.health.wire import Check, Checks, Look
from shared.runtime.heartbeat import SILENT_AFTER_SECONDS

# What lags is late, not lost: the scheduler that is behind goes on by itself.
LAG_SECONDS = 30.0

# What each part of the API stands on.
CHECKS_OF_MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "tasks": ("database", "migrations", "scheduler", "schedules"),
        "runs": ("database", "migrations", "executor", "work"),
        "events": ("database", "migrations", "redis", "scheduler", "events"),
        "agents": ("database", "migrations"),
    }
)


def judge(seen: Look | None, *, is_redis_there: bool, expected_revision: str, work_limit_seconds: float) -> Checks:
    """Redis only rings: without it the system works, so that it degrades health and never fails it."""
    redis = Check.OK if is_redis_there else Check.DEGRADED
    if seen is None:
        failed = Check.FAILED
        return Checks(failed, failed, redis, failed, failed, failed, failed, failed)
    alive = {each.service for each in seen.instances if each.silent_seconds <= SILENT_AFTER_SECONDS}
    backlog = seen.backlog
    return Checks(
        database=Check.OK,
        migrations=_ok(seen.revision == expected_revision),
        redis=redis,
        scheduler=_ok("scheduler" in alive),
        executor=_ok("executor" in alive),
        work=_ok((backlog.work_seconds or 0.0) <= work_limit_seconds),
        schedules=_keeps_up(backlog.schedules_seconds),
        events=_keeps_up(backlog.events_seconds),
    )


def _ok(is_ok: bool) -> Check:
    return Check.OK if is_ok else Check.FAILED


def _keeps_up(waiting_seconds: float | None) -> Check:
    return Check.OK if (waiting_seconds or 0.0) <= LAG_SECONDS else Check.DEGRADED
