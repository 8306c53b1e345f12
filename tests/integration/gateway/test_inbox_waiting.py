"""Long polls and streams: woken by the bell, and by a look of their own when there is no bell."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from services.gateway.inbox import stream
from services.gateway.inbox.stream import Pace
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from shared.streams.inbox_bell import ring_inbox
from tests.integration.gateway.bench import Bench, Caller, bench
from tests.support.steps import put_message
from tests.support.waiting import wait_until

Answer = tuple[list[dict[str, Any]], float]
NOWHERE = "redis://127.0.0.1:1"
# Below the gateways' own look, which comes within a second, and far above what a bell takes.
AT_ONCE_SECONDS = 0.4


@pytest.fixture
async def served(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def here(served: Gateway, settings: GatewaySettings) -> AsyncIterator[Bench]:
    async with bench(f"http://127.0.0.1:{served.port}", settings.database_url) as opened:
        yield opened


async def poll(caller: Caller, wait: int = 20, **parameters: int) -> Answer:
    began = time.monotonic()
    answer = await caller.client.get("/inbox", params={"wait": wait, **parameters}, timeout=40)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"], time.monotonic() - began


async def _is_waiting(served: Gateway, count: int = 1) -> None:
    await wait_until(lambda: served._waiters._count == count)  # noqa: SLF001 (nothing outside shows who waits)


async def _and_ring(here: Bench, redis: Redis, caller: Caller, body: object = 1) -> float:
    await put_message(here.pool, caller.agent_id, body)
    await ring_inbox(redis, [caller.agent_id])
    return time.monotonic()


async def test_a_poll_that_waits_is_woken_by_the_bell(served: Gateway, here: Bench, redis: Redis) -> None:
    owner = await here.caller()
    polling = asyncio.create_task(poll(owner))
    await _is_waiting(served)
    rung_at = await _and_ring(here, redis, owner)
    items, _ = await polling
    assert [item["body"] for item in items] == [1]
    assert time.monotonic() - rung_at < AT_ONCE_SECONDS


async def test_while_it_waits_it_holds_no_connection_to_the_database(served: Gateway, here: Bench) -> None:
    owner = await here.caller()
    polls = [asyncio.create_task(poll(owner, 2)) for _ in range(40)]
    await _is_waiting(served, 40)
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
                  AND pid <> pg_backend_pid()"""
    await wait_until(lambda: _is_none(here, query))
    assert (await owner.get("/agents/me")).status_code == 200
    assert {len(items) for items, _ in await asyncio.gather(*polls)} == {0}


async def _is_none(here: Bench, query: str) -> bool:
    return bool(await here.pool.fetchval(query) == 0)


async def test_when_nothing_comes_it_is_answered_with_an_empty_list_in_time(served: Gateway, here: Bench) -> None:
    items, seconds = await poll(await here.caller(), 1)
    assert items == []
    assert 0.9 < seconds < 2
    await _is_waiting(served, 0)


async def test_what_is_there_is_answered_at_once(here: Bench) -> None:
    owner = await here.caller()
    await put_message(here.pool, owner.agent_id)
    items, seconds = await poll(owner)
    assert (len(items), seconds < AT_ONCE_SECONDS) == (1, True)


async def test_without_a_bell_it_is_found_within_a_second_or_so(served: Gateway, here: Bench) -> None:
    owner = await here.caller()
    polling = asyncio.create_task(poll(owner))
    await _is_waiting(served)
    await put_message(here.pool, owner.agent_id)
    items, seconds = await polling
    assert (len(items), seconds < 3) == (1, True)


async def test_without_redis_messages_come_all_the_same(settings: GatewaySettings) -> None:
    service = Gateway(msgspec.structs.replace(settings, redis_url=NOWHERE), "gateway-of-one-test")
    await service.start()
    try:
        async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as here:
            owner = await here.caller()
            polling = asyncio.create_task(poll(owner))
            await _is_waiting(service)
            await put_message(here.pool, owner.agent_id)
            items, seconds = await polling
            assert (len(items), seconds < 3) == (1, True)
    finally:
        await service.stop()


async def test_after_redis_was_emptied_the_bell_is_heard_again(served: Gateway, here: Bench, redis: Redis) -> None:
    owner = await here.caller()
    for _ in range(2):
        polling = asyncio.create_task(poll(owner))
        await _is_waiting(served)
        rung_at = await _and_ring(here, redis, owner)
        assert len((await polling)[0]) == 1
        assert time.monotonic() - rung_at < AT_ONCE_SECONDS
        await redis.flushall()


async def test_of_many_who_wait_each_message_reaches_one(served: Gateway, here: Bench, redis: Redis) -> None:
    owner = await here.caller()
    polls = [asyncio.create_task(poll(owner, limit=1)) for _ in range(5)]
    await _is_waiting(served, 5)
    for number in range(5):
        await _and_ring(here, redis, owner, number)
    taken = [item["body"] for items, _ in await asyncio.gather(*polls) for item in items]
    assert sorted(taken) == [*range(5)]


async def test_a_message_that_is_given_back_wakes_who_waits(served: Gateway, here: Bench) -> None:
    owner = await here.caller()
    message_id = await put_message(here.pool, owner.agent_id)
    await poll(owner)
    polling = asyncio.create_task(poll(owner))
    await _is_waiting(served)
    began = time.monotonic()
    await owner.post(f"/inbox/{message_id}/nack", {"fence": 1})
    (item,), _ = await polling
    assert (item["fence"], time.monotonic() - began < AT_ONCE_SECONDS) == (2, True)


async def test_a_client_that_goes_away_waits_no_longer_and_takes_nothing(served: Gateway, here: Bench) -> None:
    owner = await here.caller()
    polling = asyncio.create_task(poll(owner))
    await _is_waiting(served)
    polling.cancel()
    await _is_waiting(served, 0)
    message_id = await put_message(here.pool, owner.agent_id)
    (item,), _ = await poll(owner)
    assert (item["id"], item["deliveries"]) == (str(message_id), 1)


async def test_one_agent_has_a_hundred_places_to_wait(served: Gateway, here: Bench) -> None:
    owner, other = await here.caller(), await here.caller()
    polls = [asyncio.create_task(poll(owner)) for _ in range(100)]
    await _is_waiting(served, 100)
    # A client keeps a hundred connections at most, and all of this one's are taken.
    client = await here.client(Authorization=f"Bearer {owner.token.text}")
    for path in ("/inbox?wait=1", "/inbox/stream"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (429, "too_many_waiters")
        assert answer.headers["retry-after"] == "1"
    assert (await poll(other, 1))[0] == []
    for polling in polls:
        polling.cancel()
    await _is_waiting(served, 0)


async def test_when_the_gateway_stops_whoever_waits_is_answered_at_once(settings: GatewaySettings) -> None:
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as here:
        owner = await here.caller()
        polling = asyncio.create_task(poll(owner))
        streaming = asyncio.create_task(_read_all(owner))
        await _is_waiting(service, 2)
        began = time.monotonic()
        await service.stop()
        assert (await polling)[0] == []
        await streaming
        assert time.monotonic() - began < 2


# --- streams ---


async def _read_all(caller: Caller) -> str:
    async with caller.client.stream("GET", "/inbox/stream", timeout=40) as answer:
        return (await answer.aread()).decode()


class Stream:
    """A client that reads a stream. `messages` are the data of its events, `comments` what keeps it alive."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self.messages: list[dict[str, Any]] = []
        self.comments: list[str] = []
        self.ids: list[str] = []
        self.is_over = False

    async def read(self) -> None:
        async for line in self.answer.aiter_lines():
            name, _, value = line.partition(": ")
            match name:
                case "data":
                    self.messages.append(json.loads(value))
                case "id":
                    self.ids.append(value)
                case "":
                    self.comments.append(value)
        self.is_over = True


Test = Callable[[Stream], Awaitable[None]]


async def streaming(caller: Caller, test: Test, **parameters: int) -> None:
    headers = {"Accept": "text/event-stream"}
    async with caller.client.stream("GET", "/inbox/stream", params=parameters, headers=headers, timeout=40) as answer:
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/event-stream")
        opened = Stream(answer)
        reading = asyncio.create_task(opened.read())
        try:
            await test(opened)
        finally:
            reading.cancel()


async def test_a_stream_hands_messages_out_as_they_come(served: Gateway, here: Bench, redis: Redis) -> None:
    owner = await here.caller()
    await put_message(here.pool, owner.agent_id, "first")

    async def look(opened: Stream) -> None:
        await wait_until(lambda: len(opened.messages) == 1)
        rung_at = await _and_ring(here, redis, owner, "second")
        await wait_until(lambda: len(opened.messages) == 2)
        assert time.monotonic() - rung_at < AT_ONCE_SECONDS
        assert [message["body"] for message in opened.messages] == ["first", "second"]
        assert opened.ids == [message["id"] for message in opened.messages]
        assert [message["fence"] for message in opened.messages] == [1, 1]

    await streaming(owner, look)
    await _is_waiting(served, 0)


async def test_a_stream_hands_out_no_more_than_its_window_until_something_is_acknowledged(here: Bench) -> None:
    owner = await here.caller()
    for number in range(4):
        await put_message(here.pool, owner.agent_id, number)

    async def look(opened: Stream) -> None:
        await wait_until(lambda: len(opened.messages) == 2)
        assert len((await poll(owner, 0, limit=1))[0]) == 1
        assert len(opened.messages) == 2
        began = time.monotonic()
        await owner.post(f"/inbox/{opened.messages[0]['id']}/ack", {"fence": 1})
        await wait_until(lambda: len(opened.messages) == 3)
        assert time.monotonic() - began < AT_ONCE_SECONDS

    await streaming(owner, look, window=2)


async def test_a_silent_stream_is_kept_alive_and_ends_with_its_token(
    served: Gateway, here: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await here.caller()
    pace = Pace(alive_seconds=0.1, token_seconds=0.3)
    monkeypatch.setattr(stream.InboxStreams, "pace", pace)

    async def look(opened: Stream) -> None:
        await wait_until(lambda: opened.comments.count("alive") > 2)
        assert not opened.is_over
        await here.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE agent_id = $1", owner.agent_id)
        await wait_until(lambda: opened.is_over)

    await streaming(owner, look)
    await _is_waiting(served, 0)


async def test_only_a_stream_is_a_stream(here: Bench) -> None:
    answer = await (await here.caller()).client.get("/inbox", headers={"Accept": "text/event-stream"})
    assert answer.status_code == 406
