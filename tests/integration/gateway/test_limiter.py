"""The counting itself, with a real Valkey: two limiters are two gateways."""

import asyncio
from collections.abc import Sequence

import pytest
from redis.asyncio import Redis

from services.gateway.limits.account import Bucket, Standing
from services.gateway.limits.gcra import Rate, Taken, Wish, take
from services.gateway.limits.limiter import ACCOUNTS, Limiter
from services.gateway.limits.store import PREFIX, Buckets
from shared.streams.client import open_redis
from tests.integration.gateway.bench import free_port

PER_HOUR = 3600


def _exact(name: str, limit: int) -> Bucket:
    return Bucket(name, Rate(limit, PER_HOUR))


async def _granted(limiters: list[Limiter], bucket: Bucket, times: int) -> int:
    """How many of so many, which come at once and to all of them."""
    standings = await asyncio.gather(*(limiters[number % len(limiters)].spend(bucket) for number in range(times)))
    return sum(not standing.retry_after_seconds for standing in standings)


@pytest.fixture
def two(redis: Redis) -> list[Limiter]:
    return [Limiter(Buckets(redis)), Limiter(Buckets(redis))]


@pytest.fixture
async def lonely() -> Limiter:
    """Its Redis is away."""
    return Limiter(Buckets(open_redis(f"redis://127.0.0.1:{free_port()}")))


async def test_a_limit_holds_to_the_cell_over_two_gateways(two: list[Limiter]) -> None:
    assert await _granted(two, _exact("a", 20), 60) == 20


async def test_cells_that_are_fetched_ahead_are_never_more_than_the_limit(two: list[Limiter]) -> None:
    bucket = Bucket("leased", Rate(500, PER_HOUR), lease_max=25)
    granted = await _granted(two, bucket, 1500)
    # Of what each has fetched some may be left over; in this hour nothing comes after.
    assert 500 - 2 * 25 <= granted <= 500


class Counting(Buckets):
    asked = 0

    async def take(self, names: Sequence[str], wishes: Sequence[Wish]) -> list[Taken]:
        self.asked += 1
        return await super().take(names, wishes)


async def test_who_asks_often_costs_redis_little(redis: Redis) -> None:
    limiter = Limiter(buckets := Counting(redis))
    bucket = Bucket("often", Rate(100_000, PER_HOUR), lease_max=100)
    for _ in range(1000):
        await limiter.spend(bucket)
    assert buckets.asked < 30


async def test_who_is_refused_costs_redis_nothing(redis: Redis) -> None:
    limiter = Limiter(buckets := Counting(redis))
    assert await _granted([limiter], _exact("refused", 5), 5) == 5
    buckets.asked = 0
    assert await _granted([limiter], _exact("refused", 5), 500) == 0
    assert buckets.asked <= 2


async def test_several_buckets_are_spent_from_together_or_not_at_all(two: list[Limiter]) -> None:
    wide, narrow = _exact("wide", 10), _exact("narrow", 2)
    for limiter in (two[0], two[1], two[0], two[1]):
        standings = await limiter.spend_each([wide, narrow])
    assert [standing.retry_after_seconds > 0 for standing in standings] == [False, True]
    assert await _granted(two, wide, 20) == 8


async def test_what_is_given_back_can_be_spent_elsewhere(two: list[Limiter]) -> None:
    bucket = _exact("back", 3)
    assert (await two[0].spend(bucket, 3)).remaining == 0
    assert (await two[0].give_back(bucket, 2)).remaining == 2
    assert await _granted([two[1]], bucket, 5) == 2


async def test_a_refusal_says_when_to_come_back_and_keeps_its_word(two: list[Limiter]) -> None:
    bucket = Bucket("word", Rate(2, 2))
    while not (refused := await two[0].spend(bucket)).retry_after_seconds:
        pass
    assert (refused.limit, refused.remaining, refused.retry_after_seconds) == (2, 0, 1)
    await asyncio.sleep(refused.retry_after_seconds)
    assert not (await two[1].spend(bucket)).retry_after_seconds


async def test_a_bucket_vanishes_when_its_debt_has_melted(redis: Redis, two: list[Limiter]) -> None:
    await two[0].spend(_exact("ttl", 60))
    (key,) = await redis.keys(f"{PREFIX}*")
    assert 59_000 < await redis.pttl(key) <= 60_001


async def test_redis_decides_as_the_pure_function_does(redis: Redis) -> None:
    buckets = Buckets(redis)
    for limit, period, cost, at_most in [
        (1, 60, 1, 1),
        (7, 60, 1, 3),
        (100, 3600, 40, 40),
        (10_000_000, 3600, 1, 9999),
    ]:
        wish = Wish(Rate(limit, period), cost, at_most)
        for _ in range(6):
            (taken,) = await buckets.take([f"same:{limit}"], [wish])
            assert take([taken.debt_us - taken.granted * wish.rate.interval_us], [wish]) == [taken]


async def test_without_redis_a_limit_holds_in_each_process(lonely: Limiter) -> None:
    assert await _granted([lonely], _exact("local", 20), 60) == 20
    leased = Bucket("local leased", Rate(100, PER_HOUR), lease_max=10)
    assert await _granted([lonely], leased, 300) == 100


async def test_a_redis_that_was_away_is_asked_again(redis: Redis) -> None:
    now = 1000.0
    limiter = Limiter(buckets := Buckets(open_redis(f"redis://127.0.0.1:{free_port()}")), lambda: now)
    bucket = _exact("again", 20)
    await limiter.spend(bucket, 5)
    buckets._redis = redis  # noqa: SLF001 (a Redis that is back)
    await limiter.spend(bucket, 5)
    assert await redis.keys(f"{PREFIX}*") == []
    now += 2
    assert (await limiter.spend(bucket, 5)).remaining == 15


async def test_accounts_without_a_debt_are_forgotten(redis: Redis) -> None:
    now = 1000.0
    limiter = Limiter(Buckets(redis), lambda: now)
    quick = Rate(1000, 1)
    for number in range(ACCOUNTS):
        limiter._account(Bucket(str(number), quick))  # noqa: SLF001 (what a process keeps is seen nowhere else)
    kept: Standing = await limiter.spend(Bucket("kept", Rate(1, PER_HOUR)))
    assert not kept.retry_after_seconds
    assert len(limiter._accounts) == 1  # noqa: SLF001
