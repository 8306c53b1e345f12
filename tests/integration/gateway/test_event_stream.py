"""Events as server-sent events: each at once, all of them without Redis, and none missed by who comes back."""

import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
from redis.asyncio import Redis

from services.gateway.http.streaming import Pace
from services.gateway.live import event_listener, event_watch, stream
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import TOKEN_KEY, Bench, Caller, Served, bench
from tests.integration.gateway.test_events import topic
from tests.support.event_stream import Stream, following
from tests.support.waiting import wait_until

PATH = "/events/stream"
# Below the gateway's own look, and far above what Redis takes.
AT_ONCE_SECONDS = 0.8
# The look, and what it may wait for.
SOON_SECONDS = 4.0
NOWHERE = "redis://127.0.0.1:1"
INSERT = """INSERT INTO event (id, topic, payload, source_agent_id, published_by, published_at)
            VALUES ($1, $2, $3, $4, 'somebody', coalesce($5, now()))"""


@pytest.fixture
def settings(shared_gateway: Served, redis_url: str) -> GatewaySettings:
    """Of a second gateway beside the one that all tests share."""
    return GatewaySettings(
        database_url=shared_gateway.database_url, redis_url=redis_url, token_key=TOKEN_KEY, http_port=0
    )


@pytest.fixture
async def near(settings: GatewaySettings) -> AsyncIterator[Bench]:
    """In this process, where a test can set other bounds."""
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as opened:
        yield opened
    await service.stop()


async def publish(caller: Caller, name: str, **payload: object) -> dict[str, Any]:
    answer = await caller.post("/events", {"topic": name, "payload": payload})
    assert answer.status_code == 201, answer.text
    published: dict[str, Any] = answer.json()
    return published


async def insert(here: Bench, caller: Caller, name: str, number: int, event_id: UUID | None = None) -> None:
    """As one whose publisher died before it told anybody."""
    await here.pool.execute(INSERT, event_id or uuid4(), name, {"n": number}, caller.agent_id, None)


def numbers(opened: Stream) -> list[int]:
    return [event["payload"]["n"] for event in opened.all("event")]


async def is_listening(opened: Stream) -> None:
    await wait_until(lambda: opened.comments)


async def until_told(opened: Stream, *wanted: int, patience_seconds: float = SOON_SECONDS) -> None:
    await wait_until(lambda: {*wanted} <= {*numbers(opened)}, patience_seconds)


async def test_an_event_is_told_at_once_to_all_who_follow_whoever_published_it(gateway: Bench, owner: Caller) -> None:
    reader, name = await gateway.caller(Scope.EVENTS_READ), topic()
    async with following(reader.client, PATH) as whole, following(owner.client, PATH, topic=name) as own:
        await is_listening(whole)
        await is_listening(own)
        # By then the ear has begun to hear.
        await publish(owner, name, n=1)
        await until_told(own, 1)
        began = time.monotonic()
        published = await publish(owner, name, n=2)
        await until_told(own, 2, patience_seconds=AT_ONCE_SECONDS)
        await wait_until(lambda: published["id"] in [event["id"] for event in whole.all("event")])
        assert time.monotonic() - began < AT_ONCE_SECONDS
        assert own.ids == [event["id"] for event in own.all("event")]
        recent = await owner.get("/events/stream/recent", topic=name)
        assert own.all("event")[-1] == recent.json()["items"][0], recent.text


async def test_a_pattern_lets_through_what_it_covers(gateway: Bench, owner: Caller) -> None:
    name = topic()
    async with following(owner.client, PATH, topic=f"{name}.*") as opened:
        await is_listening(opened)
        for number, each in enumerate((name, f"{name}.a", f"{name}.a.b", f"{name}.b")):
            await insert(gateway, owner, each, number)
        await until_told(opened, 1, 3)
        assert numbers(opened) == [1, 3]


@pytest.mark.parametrize("pattern", ["A", "a..b", "**.a", "", "a b"])
async def test_a_pattern_that_is_none_is_refused(owner: Caller, pattern: str) -> None:
    answer = await owner.get(PATH, topic=pattern)
    assert answer.status_code == 400
    assert answer.json()["validation_errors"][0]["code"] == "invalid_topic"


async def test_without_redis_everything_is_told_all_the_same(settings: GatewaySettings) -> None:
    service = Gateway(msgspec.structs.replace(settings, redis_url=NOWHERE), "gateway-of-one-test")
    await service.start()
    try:
        async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as here:
            owner, name = await here.caller(), topic()
            async with following(owner.client, PATH, topic=name) as opened:
                await is_listening(opened)
                for number in range(3):
                    await publish(owner, name, n=number)
                    await until_told(opened, number)
                assert numbers(opened) == [0, 1, 2]
    finally:
        await service.stop()


async def test_redis_emptied_loses_nothing_and_tells_nothing_twice(near: Bench, redis: Redis) -> None:
    owner, name = await near.caller(), topic()
    async with following(owner.client, PATH, topic=name) as opened:
        await is_listening(opened)
        for number in range(4):
            await redis.flushall()
            await (publish(owner, name, n=number) if number % 2 else insert(near, owner, name, number))
            await redis.flushall()
        await until_told(opened, 0, 1, 2, 3)
        assert sorted(numbers(opened)) == [0, 1, 2, 3]


async def test_a_step_s_event_is_told_though_its_id_shows_an_old_time(gateway: Bench, owner: Caller) -> None:
    name = topic()
    async with following(owner.client, PATH, topic=name) as opened:
        await is_listening(opened)
        first = await publish(owner, name, n=1)
        await until_told(opened, 1)
        old = UUID(int=UUID(first["id"]).int - (40 * 86_400_000 << 80))
        await insert(gateway, owner, name, 2, old)
        await until_told(opened, 2)
    await insert(gateway, owner, name, 3, UUID(int=old.int + 1))
    async with following(owner.client, PATH, first["id"], topic=name) as again:
        await until_told(again, 2, 3)


async def test_who_comes_back_misses_nothing_also_of_a_transaction_that_ended_late(
    gateway: Bench, owner: Caller
) -> None:
    name = topic()
    async with following(owner.client, PATH, topic=name) as opened, gateway.pool.acquire() as connection:
        await is_listening(opened)
        async with connection.transaction():
            await connection.execute(INSERT, uuid4(), name, {"n": 0}, owner.agent_id, None)
            await publish(owner, name, n=1)
            await until_told(opened, 1)
            last_id = opened.last_id
        await until_told(opened, 0)
    for number in (2, 3):
        await publish(owner, name, n=number)
    async with following(owner.client, PATH, last_id, topic=name) as again:
        await until_told(again, 0, 2, 3)
        await publish(owner, name, n=4)
        await until_told(again, 4)
        assert numbers(again) == [0, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [("x", 400, "invalid_last_event_id"), ("1-2", 400, "invalid_last_event_id"), (str(uuid4()), 410, "history_gone")],
    ids=["a word", "a position of another kind", "an unknown event"],
)
async def test_an_event_that_is_not_kept_is_gone_and_garbage_is_refused(
    owner: Caller, text: str, status: int, code: str
) -> None:
    for answer in (
        await owner.client.get(PATH, headers={"Last-Event-ID": text}),
        await owner.get(PATH, last_event_id=text),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (status, code)


async def test_more_than_can_wait_is_read_anew_and_told_once(near: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_listener, "EVENTS_WAITING", 5)
    monkeypatch.setattr(event_watch, "PAGE", 4)
    owner, name = await near.caller(), topic()
    async with following(owner.client, PATH, topic=name) as opened:
        await is_listening(opened)
        async with near.pool.acquire() as connection, connection.transaction():
            for number in range(30):
                each = f"{name}.b" if number % 3 == 2 else name
                await connection.execute(INSERT, uuid4(), each, {"n": number}, owner.agent_id, None)
        wanted = [number for number in range(30) if number % 3 != 2]
        await until_told(opened, *wanted)
        assert sorted(numbers(opened)) == wanted
        await publish(owner, name, n=30)
        await until_told(opened, 30)


async def test_a_stream_ends_with_its_token(near: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.LiveStreams, "pace", Pace(alive_seconds=0.1, token_seconds=0.2))
    owner = await near.caller()
    async with following(owner.client, PATH) as opened:
        await wait_until(lambda: opened.comments.count("alive") > 2)
        await near.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE agent_id = $1", owner.agent_id)
        await wait_until(lambda: opened.is_over)


async def test_only_who_may_read_events_follows_them(gateway: Bench) -> None:
    blind = await gateway.caller(Scope.EVENTS_PUBLISH)
    assert (await blind.get(PATH)).json()["error_code"] == "insufficient_scope"
