"""Renews the leases of what runs here, on a connection of its own, and stops what is no longer ours."""

import asyncio
import time
from collections.abc import Iterable
from enum import Enum, auto

import asyncpg
import msgspec
import structlog

from services.executor.work import Work
from shared.database.faults import DATABASE_ERRORS
from shared.database.statements import load_statements
from shared.runtime.loop import Part

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
# Trust in a lease ends this long before the database would give the row to another: the answer may have been slow.
MARGIN_SECONDS = 5.0
PAUSE_AFTER_FAILURE_SECONDS = 1.0


class StopReason(Enum):
    """Why a running attempt was told to stop by its lease."""

    LEASE_LOST = auto()
    CANCEL_REQUESTED = auto()


class Held(msgspec.Struct):
    """A lease in use. `trusted_until` is on the monotonic clock; `job` is what to cancel when it is lost."""

    work: Work
    trusted_until: float
    job: asyncio.Task[None] | None = None
    stop_reason: StopReason | None = None

    def stop(self, reason: StopReason) -> None:
        if self.stop_reason is None and self.job is not None:
            self.stop_reason = reason
            self.job.cancel()


class Renewed(msgspec.Struct, frozen=True):
    renewed: int
    lost: int
    pause_seconds: float


class LeaseKeeper(Part):
    """A lease is kept from the claim until the outcome is recorded."""

    name = "lease keeper"

    def __init__(self, pool: asyncpg.Pool, *, lease_seconds: float, renew_seconds: float) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._held: dict[tuple[int, int], Held] = {}

    def hold(self, work: Work, claimed_at: float) -> Held:
        """`claimed_at`: the monotonic time at which the claim was sent."""
        held = Held(work, self._trusted_from(claimed_at))
        self._held[_key(work)] = held
        return held

    def forget(self, recorded: Iterable[Work]) -> None:
        for work in recorded:
            self._held.pop(_key(work), None)

    async def run_once(self) -> Renewed:
        """Renew all leases in one statement. While the database is away, stop what can no longer be trusted."""
        held = list(self._held.values())
        if not held:
            return Renewed(0, 0, self._renew_seconds)
        began_at = time.monotonic()
        try:
            kept = await self._renew(held)
        except DATABASE_ERRORS as error:
            logger.warning("leases_not_renewed", leases=len(held), error=repr(error))
            return Renewed(0, self._stop_untrusted(), PAUSE_AFTER_FAILURE_SECONDS)
        lost = self._apply(held, kept, self._trusted_from(began_at))
        return Renewed(len(held) - lost, lost, self._renew_seconds)

    async def _renew(self, held: list[Held]) -> dict[int, bool]:
        rows = await self._pool.fetch(
            SQL["renew_leases"].sql,
            [each.work.id for each in held],
            [each.work.fence for each in held],
            self._lease_seconds,
            timeout=self._lease_seconds - MARGIN_SECONDS,
        )
        return {row["id"].int: row["is_cancel_requested"] for row in rows}

    def _apply(self, held: list[Held], kept: dict[int, bool], trusted_until: float) -> int:
        lost = 0
        for each in held:
            is_cancel_requested = kept.get(each.work.id.int)
            if is_cancel_requested is None:
                lost += self._lose(each)
                continue
            each.trusted_until = trusted_until
            if is_cancel_requested:
                each.stop(StopReason.CANCEL_REQUESTED)
        return lost

    def _lose(self, held: Held) -> bool:
        """A lease that is missing because its outcome was recorded meanwhile is not lost."""
        if self._held.pop(_key(held.work), None) is None:
            return False
        logger.warning("lease_lost", run_id=str(held.work.id), fence=held.work.fence)
        held.stop(StopReason.LEASE_LOST)
        return True

    def _stop_untrusted(self) -> int:
        now = time.monotonic()
        untrusted = [held for held in self._held.values() if held.trusted_until <= now]
        return sum(self._lose(held) for held in untrusted)

    def _trusted_from(self, asked_at: float) -> float:
        return asked_at + self._lease_seconds - MARGIN_SECONDS


def _key(work: Work) -> tuple[int, int]:
    return work.id.int, work.fence
