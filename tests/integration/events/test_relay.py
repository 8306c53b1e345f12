"""From the table to the event log."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from services.scheduler.relay import TURN, Relay
from shared.events.announcer import Announcer
from shared.runtime.loop import Running
from shared.streams.client import open_redis
from shared.streams.event_log import STREAM, Envelope, read_envelope
from shared.vocabulary.ids import uuid7
from tests.integration.events.conftest import NOON, Publish
from tests.support.rows import make_agent
from tests.support.waiting import wait_until

LATER = NOON + timedelta(minutes=1)
NOBODY = "redis://127.0.0.1:9"


async def log(redis: Redis) -> list[Envelope]:
    return [read_envelope(fields) for _, fields in await redis.xrange(STREAM)]


async def publish_many(say: Publish, count: int) -> list[UUID]:
    """In the order of their ids, written in another."""
    ids = sorted(uuid7(NOON) for _ in range(count))
    for event_id in reversed(ids):
        await say(id=event_id)
    return ids


async def unrelayed(pool: asyncpg.Pool) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM event WHERE relayed_at IS NULL")
    return count


async def test_what_a_crash_left_behind_is_relayed_once_and_in_order(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    ids = await publish_many(say, 25)
    relay = Relay(pool, redis, "scheduler-1")
    assert (await relay.run_once(LATER)).events == 25
    assert (await relay.run_once(LATER)).events == 0
    assert [envelope.id for envelope in await log(redis)] == ids
    assert await unrelayed(pool) == 0


async def test_several_schedulers_relay_once(pool: asyncpg.Pool, redis: Redis, say: Publish) -> None:
    ids = await publish_many(say, 250)
    relays = [Relay(pool, redis, f"scheduler-{number}") for number in range(4)]

    async def drained() -> bool:
        await asyncio.gather(*(relay.run_once(LATER) for relay in relays))
        return await unrelayed(pool) == 0

    await wait_until(drained)
    assert [envelope.id for envelope in await log(redis)] == ids


async def test_an_event_that_is_being_published_is_left_to_its_publisher(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    await say()
    assert (await Relay(pool, redis, "scheduler-1").run_once(NOON + timedelta(seconds=0.9))).events == 0
    assert (await Relay(pool, redis, "scheduler-1").run_once(NOON + timedelta(seconds=1))).events == 1


async def test_the_log_has_the_whole_event(pool: asyncpg.Pool, redis: Redis, say: Publish) -> None:
    published = await say(payload={"text": "ă", "n": [1.5, None]}, depth=2, traceparent="00-aa-bb-01")
    await Relay(pool, redis, "scheduler-1").run_once(LATER)
    event = published.event
    expected = Envelope(
        id=event.id,
        topic="order.placed",
        payload={"text": "ă", "n": [1.5, None]},
        source=event.source_agent_id,
        published_at=NOON,
        depth=2,
        traceparent="00-aa-bb-01",
    )
    assert await log(redis) == [expected]


async def test_without_redis_the_events_wait(pool: asyncpg.Pool, redis: Redis, say: Publish) -> None:
    await say()
    away = open_redis(NOBODY)
    assert (await Relay(pool, away, "scheduler-1").run_once(LATER)).events == 0
    assert await unrelayed(pool) == 1
    assert (await Relay(pool, redis, "scheduler-1").run_once(LATER)).events == 1
    await away.aclose()


async def test_a_scheduler_that_died_with_the_turn_keeps_it_for_seconds_only(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    await say()
    await redis.set(TURN, "dead", ex=10)
    assert (await Relay(pool, redis, "scheduler-1").run_once(LATER)).events == 0
    await redis.flushall()
    assert (await Relay(pool, redis, "scheduler-1").run_once(LATER)).events == 1
    assert await redis.keys() == [STREAM.encode()]


async def test_an_emptied_redis_costs_neither_work_nor_the_events_that_follow(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    await say()
    await Relay(pool, redis, "scheduler-1").run_once(LATER)
    await redis.flushall()
    following = await say()
    await Relay(pool, redis, "scheduler-1").run_once(LATER)
    assert [envelope.id for envelope in await log(redis)] == [following.event.id]
    assert await pool.fetchval("SELECT count(*) FROM event") == 2


async def test_the_publisher_relays_by_itself_after_the_commit(pool: asyncpg.Pool, redis: Redis, say: Publish) -> None:
    announcer = Announcer(pool, redis)
    announcing = Running(announcer)
    await announcing.start()
    many = [await say() for _ in range(5)]
    for published in many:
        announcer.want(published)
    await wait_until(lambda: _is_marked(pool))
    await announcing.stop()
    assert [envelope.id for envelope in await log(redis)] == [published.event.id for published in many]


async def test_an_event_that_was_published_before_is_not_announced_again(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    event_id = uuid7(NOON)
    await say(id=event_id)
    announcer = Announcer(pool, redis)
    announcer.want(await say(id=event_id))
    await announcer.stop()
    assert await log(redis) == []


async def test_a_publisher_that_stops_relays_what_waits(pool: asyncpg.Pool, redis: Redis, say: Publish) -> None:
    announcer = Announcer(pool, redis)
    for _ in range(250):
        announcer.want(await say())
    await announcer.stop()
    assert (len(await log(redis)), await unrelayed(pool)) == (250, 0)


async def test_a_publisher_without_redis_goes_on(pool: asyncpg.Pool, say: Publish) -> None:
    away = open_redis(NOBODY)
    announcer = Announcer(pool, away)
    announcer.want(await say())
    assert (await announcer.run_once()).events == 0
    assert await unrelayed(pool) == 1
    await away.aclose()


async def test_an_event_does_not_overtake_an_earlier_one_of_its_publisher(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    """Two gateways: the first has not told Redis yet when the second is asked to."""
    first, second = Announcer(pool, redis), Announcer(pool, redis)
    one, two = await say(now=NOON), await say(now=NOON + timedelta(seconds=1))
    stranger = await say(now=LATER, source_agent_id=await make_agent(pool))
    second.want(two)
    second.want(stranger)
    assert (await second.run_once()).events == 1
    assert (await second.run_once()).events == 0
    first.want(one)
    assert (await first.run_once()).events == 1
    assert (await second.run_once()).events == 1
    assert [envelope.id for envelope in await log(redis)] == [each.event.id for each in (stranger, one, two)]
    assert await unrelayed(pool) == 0


async def test_what_one_left_behind_goes_first_when_the_scheduler_comes(
    pool: asyncpg.Pool, redis: Redis, say: Publish
) -> None:
    announcer = Announcer(pool, redis)
    many = [await say(now=NOON + timedelta(milliseconds=number)) for number in range(3)]
    for published in many[1:]:
        announcer.want(published)
    assert (await announcer.run_once()).events == 0
    assert (await Relay(pool, redis, "scheduler-1").run_once(LATER)).events == 3
    # What the scheduler did meanwhile is not done again.
    await announcer.stop()
    assert [envelope.id for envelope in await log(redis)] == [published.event.id for published in many]


async def _is_marked(pool: asyncpg.Pool) -> bool:
    return await unrelayed(pool) == 0
