"""What one gateway knows of one bucket, and what it holds of it."""

import asyncio

import msgspec

from services.gateway.limits.gcra import MICROSECONDS, Rate, Taken, remaining

# Cells that were fetched ahead are spent within this time or lost.
LEASE_SECONDS = 1.0
# A refusal is repeated without asking for as long at most: another gateway may have given cells back.
REFUSED_SECONDS = 1.0


class Bucket(msgspec.Struct, frozen=True):
    """`lease_max`: how many cells may be fetched ahead; 1 keeps the limit to the cell over all gateways."""

    name: str
    rate: Rate
    lease_max: int = 1


class Standing(msgspec.Struct, frozen=True):
    """How somebody stands with a limit. `retry_after_seconds`: 0 for who was granted what it wanted."""

    limit: int
    remaining: int
    reset_seconds: int
    retry_after_seconds: int = 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """draft-ietf-httpapi-ratelimit-headers-03; the reset is when all is there again."""
        return [
            (b"ratelimit-limit", b"%d" % self.limit),
            (b"ratelimit-remaining", b"%d" % self.remaining),
            (b"ratelimit-reset", b"%d" % self.reset_seconds),
        ]


class Account:
    """Times are those of a monotonic clock. `clear_at`: when the debt has melted, as far as it is known here."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.asking = asyncio.Lock()
        self.clear_at = 0.0
        self._leased = 0
        self._lease_size = 1
        self._leased_until = 0.0
        self._refused_cost = 0
        self._refused_until = 0.0

    def spend(self, cost: int, now: float) -> Standing | None:
        """Without asking anybody; None when that decides nothing."""
        if self._leased >= cost and now < self._leased_until:
            self._leased -= cost
            return self._standing(now, 0.0)
        refused = self.refusal(now, cost) if self.is_refused(cost, now) else None
        return refused if refused is not None and refused.retry_after_seconds else None

    def is_refused(self, cost: int, now: float) -> bool:
        return now < self._refused_until and cost >= self._refused_cost

    def refusal(self, now: float, cost: int = 1) -> Standing:
        """No refusal at all once the debt has melted far enough."""
        rate = self.bucket.rate
        lacking_us = cost * rate.interval_us - (rate.interval_us * rate.limit - self.debt_us(now))
        return self._standing(now, max(0.0, lacking_us / MICROSECONDS))

    def wish(self, cost: int, now: float) -> int:
        """How many cells to fetch: twice as many when the last ones did not last, else as many as were spent."""
        wanted = 2 * self._lease_size if now < self._leased_until else self._lease_size - self._leased
        return max(cost, min(wanted, self.bucket.lease_max))

    def note(self, taken: Taken, cost: int, now: float) -> Standing:
        """What was answered to a wish, here or in Redis."""
        wait_seconds = taken.wait_us / MICROSECONDS
        self.clear_at = now + taken.debt_us / MICROSECONDS
        self._refused_cost, self._refused_until = cost, now + min(REFUSED_SECONDS, wait_seconds)
        if taken.granted > 0:
            self._leased, self._lease_size = taken.granted - cost, taken.granted
            self._leased_until = now + LEASE_SECONDS
        return self._standing(now, wait_seconds)

    def debt_us(self, now: float) -> int:
        return max(0, round((self.clear_at - now) * MICROSECONDS))

    def _standing(self, now: float, wait_seconds: float) -> Standing:
        rate, debt_us = self.bucket.rate, self.debt_us(now)
        # What was leased stays in the debt until time has taken it back.
        left = min(rate.limit, remaining(debt_us, rate) + self._leased)
        return Standing(rate.limit, left, -(-debt_us // MICROSECONDS), -int(-wait_seconds // 1))
