"""Spends from buckets: what was fetched ahead, else in Redis, and by this process's own count while Redis is away."""

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog

from services.gateway.limits.account import Account, Bucket, Standing
from services.gateway.limits.gcra import Taken, Wish, take
from services.gateway.limits.store import Buckets
from shared.streams.client import REDIS_ERRORS

logger = structlog.get_logger(__name__)

# Nobody waits longer for Redis than that, and after a failure it is left alone for a while.
ANSWER_SECONDS = 0.5
AWAY_SECONDS = 1.0
ACCOUNTS = 10_000


class Limiter:
    """Without Redis a limit holds in each process by itself: never an error, never unlimited."""

    def __init__(self, buckets: Buckets, clock: Callable[[], float] = time.monotonic) -> None:
        self._buckets = buckets
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._prune_at = ACCOUNTS
        self._away_until = 0.0

    async def spend(self, bucket: Bucket, cost: int = 1) -> Standing:
        account = self._account(bucket)
        known = account.spend(cost, self._clock())
        if known is not None:
            return known
        # One asks, and those who waited find what it fetched.
        async with account.asking:
            known = account.spend(cost, self._clock())
            if known is not None:
                return known
            wish = Wish(bucket.rate, cost, account.wish(cost, self._clock()))
            (taken,) = await self._take([account], [wish])
            return account.note(taken, cost, self._clock())

    async def spend_each(self, buckets: Sequence[Bucket]) -> list[Standing]:
        """One from each, or from none of them."""
        accounts = [self._account(bucket) for bucket in buckets]
        now = self._clock()
        refused = [account.refusal(now) for account in accounts if account.is_refused(1, now)]
        if any(standing.retry_after_seconds for standing in refused):
            return refused
        taken = await self._take(accounts, [Wish(bucket.rate) for bucket in buckets])
        now = self._clock()
        return [account.note(each, 1, now) for account, each in zip(accounts, taken, strict=True)]

    async def give_back(self, bucket: Bucket, cells: int) -> Standing:
        account = self._account(bucket)
        (taken,) = await self._take([account], [Wish(bucket.rate, -cells, -cells)])
        return account.note(taken, -cells, self._clock())

    async def _take(self, accounts: Sequence[Account], wishes: Sequence[Wish]) -> list[Taken]:
        if self._clock() >= self._away_until:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await self._buckets.take([account.bucket.name for account in accounts], wishes)
            except REDIS_ERRORS as error:
                self._away_until = self._clock() + AWAY_SECONDS
                logger.warning("limits_kept_locally", error=repr(error))
        now = self._clock()
        return take([account.debt_us(now) for account in accounts], wishes)

    def _account(self, bucket: Bucket) -> Account:
        account = self._accounts.get(bucket.name)
        if account is None:
            self._prune()
            account = self._accounts[bucket.name] = Account(bucket)
        elif account.bucket is not bucket:
            account.bucket = bucket
        return account

    def _prune(self) -> None:
        """Who owes nothing needs no account."""
        if len(self._accounts) < self._prune_at:
            return
        now = self._clock()
        self._accounts = {name: account for name, account in self._accounts.items() if account.clear_at > now}
        self._prune_at = max(ACCOUNTS, 2 * len(self._accounts))
