"""Renews the leases of what runs here, on a connection of its own, and stops what is no longer ours."""

import asyncio
import time
from collections.abc import Iterable
from enum import Enum, auto
from typing import TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from services.executor.work import Work
from shared.database.faults import DATABASE_ERRORS
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.vocabulary.limits import LEASE_MARGIN_SECONDS

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/queue.sql")
# How often the clock is looked at while the database does not answer, and how long one renewal may take.
LOOK_SECONDS = 1.0
RENEWAL_SECONDS = 5.0

# The id of a run, as a number, and the fence.
Lease: TypeAlias = tuple[int, int]


class StopReason(Enum):
    """Why a running attempt was told to stop by its lease."""

    LEASE_LOST = auto()
    CANCEL_REQUESTED = auto()


class Held(msgspec.Struct):
    """A lease in use. `claimed_at` and `trusted_until` are on the monotonic clock; `job` is what to cancel when it is
    lost."""

    work: Work
    claimed_at: float
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


class Asked(msgspec.Struct, frozen=True):
    """A renewal under way."""

    held: list[Held]
    at: float
    answer: "asyncio.Task[dict[Lease, bool]]"


class LeaseKeeper(Part):
    """A lease is kept from the claim until the outcome is recorded."""

    name = "lease keeper"

    def __init__(self, pool: asyncpg.Pool, *, lease_seconds: float, renew_seconds: float) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._held: dict[int, Held] = {}
        self._asked: Asked | None = None

    async def stop(self) -> None:
        if self._asked is not None:
            self._asked.answer.cancel()

    def hold(self, work: Work, claimed_at: float) -> Held:
        """`claimed_at`: the monotonic time at which the claim was sent. An older lease of the same work has run out."""
        older = self._held.get(work.id.int)
        if older is not None:
            self._lose(older)
        held = Held(work, claimed_at, self._trusted_from(claimed_at))
        self._held[work.id.int] = held
        return held

    def forget(self, recorded: Iterable[Work]) -> None:
        for work in recorded:
            held = self._held.get(work.id.int)
            if held is not None and held.work.fence == work.fence:
                del self._held[work.id.int]

    @property
    def held(self) -> list[UUID]:
        """The runs whose leases are kept here."""
        return [each.work.id for each in self._held.values()]

    def cancel(self, run_ids: Iterable[UUID]) -> None:
        """Stop what somebody asked to stop, as far as it runs here."""
        for run_id in run_ids:
            if (held := self._held.get(run_id.int)) is not None:
                held.stop(StopReason.CANCEL_REQUESTED)

    async def run_once(self) -> Renewed:
        """Renew all leases in one statement. A database that is silent does not keep us from looking at the clock: what
        can no longer be trusted is stopped while the answer is still awaited."""
        if self._asked is None:
            held = list(self._held.values())
            if not held:
                return Renewed(0, 0, self._renew_seconds)
            self._asked = Asked(held, time.monotonic(), asyncio.create_task(self._renew(held)))
        asked = self._asked
        await asyncio.wait({asked.answer}, timeout=LOOK_SECONDS)
        if not asked.answer.done():
            return Renewed(0, self._stop_untrusted(), 0.0)
        self._asked = None
        try:
            kept = asked.answer.result()
        except DATABASE_ERRORS as error:
            logger.warning("leases_not_renewed", leases=len(asked.held), error=repr(error))
            return Renewed(0, self._stop_untrusted(), LOOK_SECONDS)
        lost = self._apply(asked.held, kept, self._trusted_from(asked.at))
        return Renewed(len(asked.held) - lost, lost, self._renew_seconds)

    async def _renew(self, held: list[Held]) -> dict[Lease, bool]:
        rows = await self._pool.fetch(
            SQL["renew_leases"].sql,
            [each.work.id for each in held],
            [each.work.fence for each in held],
            self._lease_seconds,
            timeout=RENEWAL_SECONDS,
        )
        return {(row["id"].int, row["fence"]): row["is_cancel_requested"] for row in rows}

    def _apply(self, held: list[Held], kept: dict[Lease, bool], trusted_until: float) -> int:
        lost = 0
        for each in held:
            is_cancel_requested = kept.get((each.work.id.int, each.work.fence))
            if is_cancel_requested is None:
                lost += self._lose(each)
                continue
            each.trusted_until = trusted_until
            if is_cancel_requested:
                each.stop(StopReason.CANCEL_REQUESTED)
        return lost

    def _lose(self, held: Held) -> bool:
        """A lease that is missing because its outcome was recorded meanwhile is not lost."""
        if self._held.get(held.work.id.int) is not held:
            return False
        del self._held[held.work.id.int]
        logger.warning("lease_lost", run_id=str(held.work.id), fence=held.work.fence)
        held.stop(StopReason.LEASE_LOST)
        return True

    def _stop_untrusted(self) -> int:
        now = time.monotonic()
        untrusted = [held for held in self._held.values() if held.trusted_until <= now]
        return sum(self._lose(held) for held in untrusted)

    def _trusted_from(self, asked_at: float) -> float:
        return asked_at + self._lease_seconds - LEASE_MARGIN_SECONDS
