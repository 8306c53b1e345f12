"""Stops what somebody asked to stop: what runs here at once, and what nobody holds any more for good."""

import asyncpg
import msgspec
import structlog

from services.executor.lease import LeaseKeeper
from shared.database.statements import load_statements
from shared.runtime.loop import Part

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/cancel.sql")
SHARED_SQL = load_statements("shared.database", "sql/canceling.sql")
# Half of what a cancel may take, for when nobody wakes it.
LOOK_SECONDS = 0.5


class Looked(msgspec.Struct, frozen=True):
    """`stopped` ran here; `released` were held by nobody, though somebody had them when they were asked to stop."""

    stopped: int
    released: int
    pause_seconds: float = LOOK_SECONDS


class CancelWatch(Part):
    """Woken by the broadcast of a cancel. Without Redis it looks twice a second."""

    name = "cancel watch"

    def __init__(self, pool: asyncpg.Pool, leases: LeaseKeeper) -> None:
        self._pool = pool
        self._leases = leases

    async def run_once(self) -> Looked:
        asked = {row["id"] for row in await self._pool.fetch(SQL["find_asked_to_stop"].sql)}
        if not asked:
            return Looked(0, 0)
        here = asked.intersection(self._leases.held)
        self._leases.cancel(here)
        return Looked(len(here), await self._cancel_released() if asked - here else 0)

    async def _cancel_released(self) -> int:
        canceled = await self._pool.fetch(SHARED_SQL["cancel_released"].sql, None)
        for row in canceled:
            logger.info("run_canceled", run_id=str(row["id"]))
        return len(canceled)
