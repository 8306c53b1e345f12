import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from deploy.local.valkey import EmbeddedValkey
from services.gateway.settings import GatewaySettings
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, bench, free_port, started, task_body

LIMIT_HEADERS = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")


async def limited(gateway: Bench, *scopes: Scope, **limits: int) -> Caller:
    caller = await gateway.caller(*scopes)
    text = msgspec.json.encode(limits).decode()
    await gateway.pool.execute("UPDATE agent SET limits = $2::text::jsonb WHERE id = $1", caller.agent_id, text)
    return caller


def _numbers(answer: httpx.Response) -> tuple[int, int]:
    return int(answer.headers["ratelimit-limit"]), int(answer.headers["ratelimit-remaining"])


async def _statuses(callers: list[Caller], times: int) -> list[int]:
    answers = await asyncio.gather(*(callers[number % len(callers)].get("/tasks") for number in range(times)))
    return sorted(answer.status_code for answer in answers)


async def test_every_answer_tells_how_the_agent_stands(gateway: Bench) -> None:
    caller = await limited(gateway, requests_per_minute=10)
    first, second = await caller.get("/tasks"), await caller.get("/nowhere")
    assert _numbers(first) == (10, 9)
    assert _numbers(second) == (10, 8)
    assert first.headers["ratelimit-reset"] == "6"


async def test_who_asks_too_often_is_told_when_to_come_back(gateway: Bench) -> None:
    caller = await limited(gateway, requests_per_minute=3)
    for _ in range(3):
        assert (await caller.get("/tasks")).status_code == 200
    answer = await caller.get("/tasks")
    assert (answer.status_code, answer.json()["error_code"]) == (429, "rate_limited")
    assert answer.headers["retry-after"] == "20"
    assert _numbers(answer) == (3, 0)


async def test_it_is_told_after_the_size_and_the_token_and_before_everything_else(gateway: Bench) -> None:
    caller = await limited(gateway, requests_per_minute=1)
    await caller.get("/tasks")
    assert (await caller.client.post("/tasks", content=b" " * 300 * 1024)).status_code == 413
    assert (await caller.get("/nowhere")).status_code == 429
    assert (await caller.client.delete("/tasks")).status_code == 429
    assert (await caller.client.get("//tasks")).status_code == 429
    assert (await caller.post_bytes("/tasks", b"{")).status_code == 429


async def test_the_limit_of_one_agent_is_not_that_of_another(gateway: Bench, owner: Caller) -> None:
    caller = await limited(gateway, requests_per_minute=1)
    assert await _statuses([caller], 3) == [200, 429, 429]
    answer = await owner.get("/tasks")
    assert (answer.status_code, answer.headers["ratelimit-limit"]) == (200, "6000")


async def test_an_admin_is_limited_only_by_limits_of_its_own(gateway: Bench, admin: Caller) -> None:
    free = await admin.get("/tasks")
    assert not [name for name in LIMIT_HEADERS if name in free.headers]
    assert await _statuses([await limited(gateway, Scope.ADMIN, requests_per_minute=1)], 2) == [200, 429]


async def test_who_is_not_known_is_told_so_and_not_counted(gateway: Bench) -> None:
    answer = await (await gateway.client()).get("/tasks")
    assert (answer.status_code, [name for name in LIMIT_HEADERS if name in answer.headers]) == (401, [])


@contextlib.asynccontextmanager
async def _two_gateways(settings: GatewaySettings) -> AsyncIterator[tuple[Bench, list[httpx.AsyncClient]]]:
    async with (
        started(settings) as first,
        started(settings) as second,
        bench(str(first.base_url).removesuffix("/v1/"), settings.database_url) as opened,
    ):
        yield opened, [first, second]


def _at_each(caller: Caller, clients: list[httpx.AsyncClient]) -> list[Caller]:
    for client in clients:
        client.headers["Authorization"] = f"Bearer {caller.token.text}"
    return [Caller(client, caller.agent_id, caller.token) for client in clients]


async def test_limits_hold_over_several_gateways_and_locally_when_redis_stops(
    settings: GatewaySettings, tmp_path: Path
) -> None:
    valkey = EmbeddedValkey(tmp_path)
    valkey.start()
    try:
        async with _two_gateways(msgspec.structs.replace(settings, redis_url=valkey.url())) as (opened, clients):
            both = _at_each(await limited(opened, requests_per_minute=20, task_creations_per_hour=3), clients)
            assert await _statuses(both, 40) == [200] * 20 + [429] * 20
            both = _at_each(await limited(opened, task_creations_per_hour=3), clients)
            made = [(await both[number % 2].post("/tasks", task_body())).status_code for number in range(6)]
            assert made == [201, 201, 201, 429, 429, 429]
            valkey.stop()
            both = _at_each(await limited(opened, requests_per_minute=5, task_creations_per_hour=2), clients)
            assert await _statuses(both[:1], 10) == [200] * 5 + [429] * 5
            assert await _statuses(both[1:], 10) == [200] * 5 + [429] * 5
    finally:
        valkey.stop()


async def test_without_redis_from_the_beginning_creations_are_limited(settings: GatewaySettings) -> None:
    away = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}", task_creations_per_hour=2)
    async with started(away) as client, bench(str(client.base_url), settings.database_url) as opened:
        (caller,) = _at_each(await opened.caller(), [client])
        made = [(await caller.post("/tasks", task_body())).status_code for _ in range(4)]
    assert made == [201, 201, 429, 429]


@pytest.fixture
async def creator(gateway: Bench) -> Caller:
    """May create two tasks per hour."""
    return await limited(gateway, task_creations_per_hour=2)


async def _create(creator: Caller, **headers: str) -> httpx.Response:
    return await creator.post(
        "/tasks", task_body(), headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


async def test_who_creates_too_many_tasks_is_told_when_the_next_one_may_come(creator: Caller) -> None:
    first, second, third = [await _create(creator) for _ in range(3)]
    assert [_numbers(answer) for answer in (first, second, third)] == [(2, 1), (2, 0), (2, 0)]
    assert (third.status_code, third.json()["error_code"]) == (429, "rate_limited")
    # What the three requests took has passed already.
    assert 1790 <= int(third.headers["retry-after"]) <= 1800
    assert (await creator.get("/tasks")).json()["total"] == 2


async def test_a_creation_that_is_refused_costs_nothing(creator: Caller) -> None:
    for body in ({}, task_body(priority=0), task_body(schedule_expr="bad"), task_body(created_by=str(creator.token))):
        assert (await creator.post("/tasks", body)).status_code == 422
    made = await creator.post("/tasks", task_body(dedupe_key="one"))
    again = await creator.post("/tasks", task_body(dedupe_key="one"))
    assert (made.status_code, again.status_code) == (201, 409)
    assert _numbers(again) == (2, 1)
    assert [(await _create(creator)).status_code for _ in range(2)] == [201, 429]


async def test_a_repeated_answer_costs_nothing_and_comes_also_at_the_limit(creator: Caller) -> None:
    first = await _create(creator, Idempotency_Key="one")
    repeated = [await _create(creator, Idempotency_Key="one") for _ in range(3)]
    assert (await _create(creator)).status_code == 201
    repeated.append(await _create(creator, Idempotency_Key="one"))
    assert [(answer.status_code, answer.content) for answer in repeated] == [(201, first.content)] * 4
    assert (await _create(creator, Idempotency_Key="two")).status_code == 429


async def test_who_may_create_no_more_may_still_change_what_there_is(creator: Caller) -> None:
    task = (await _create(creator)).json()
    await _create(creator)
    assert (await _create(creator)).status_code == 429
    assert (await creator.put(f"/tasks/{task['id']}", {"title": "Other"})).status_code == 200
    assert (await creator.post(f"/tasks/{task['id']}/pause")).status_code == 200


async def test_the_default_is_a_hundred_tasks_an_hour(owner: Caller) -> None:
    assert _numbers(await _create(owner)) == (100, 99)
