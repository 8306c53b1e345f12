"""Four gateway processes with one database and one Redis are one gateway: to keys of requests, tokens and limits."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple
from uuid import uuid4

import httpx
import pytest

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import (
    PATIENCE_SECONDS,
    TOKEN_KEY,
    Bench,
    Caller,
    bench,
    make_database,
    open_client,
    serving,
    task_body,
)

GATEWAYS = 4
AT_ONCE = 5
REVOKED_WITHIN_SECONDS = 1.0
PER_MINUTE = 40


class Four(NamedTuple):
    urls: list[str]
    database_url: str


@pytest.fixture(scope="module")
def four(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Four]:
    database_url = asyncio.run(make_database(postgres, "four_gateways"))
    environment = {
        "PAO_DATABASE_URL": database_url,
        "PAO_REDIS_URL": valkey.url(),
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_AUTH_FAILURES_PER_CLIENT": "1000000",
    }
    folder = tmp_path_factory.mktemp("four")
    with contextlib.ExitStack() as running:
        # One after the other: together they would take one another's time to start.
        logs = [folder / f"log{number}" for number in range(GATEWAYS)]
        yield Four([running.enter_context(serving(environment, log)) for log in logs], database_url)


@pytest.fixture
async def opened(four: Four) -> AsyncIterator[Bench]:
    async with bench(four.urls[0], four.database_url) as opened:
        yield opened


@contextlib.asynccontextmanager
async def everywhere(four: Four, caller: Caller) -> AsyncIterator[list[httpx.AsyncClient]]:
    """The same caller at each gateway."""
    async with contextlib.AsyncExitStack() as stack:
        headers = {"Authorization": f"Bearer {caller.token.text}"}
        yield [await stack.enter_async_context(open_client(f"{url}/v1", headers)) for url in four.urls]


async def test_a_key_that_is_used_on_all_of_them_at_once_makes_one_task(four: Four, opened: Bench) -> None:
    caller = await opened.caller()
    headers = {"Idempotency-Key": str(uuid4())}
    async with everywhere(four, caller) as clients:
        asked = [client.post("/tasks", json=task_body(), headers=headers) for client in clients * AT_ONCE]
        answers = await asyncio.gather(*asked)
    made = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code != 201]
    first = [answer for answer in made if "idempotency-replayed" not in answer.headers]
    assert len(first) == 1
    assert {answer.json()["id"] for answer in made} == {first[0].json()["id"]}
    assert {answer.json()["error_code"] for answer in refused} <= {"idempotency_in_progress"}
    assert await opened.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", caller.agent_id) == 1


async def test_a_revoked_token_is_refused_by_all_of_them_within_a_second(four: Four, opened: Bench) -> None:
    caller, admin = await opened.caller(), await opened.admin()
    async with everywhere(four, caller) as clients:
        hammering = [asyncio.create_task(_last_accepted(client)) for client in clients]
        await asyncio.gather(*(client.get("/agents/me") for client in clients))
        path = f"/agents/{caller.agent_id}/tokens/{caller.token.key_id}"
        answer = await admin.client.delete(path)
        revoked_at = time.monotonic()
        assert answer.status_code == 204
        last_accepted_at = await asyncio.wait_for(asyncio.gather(*hammering), PATIENCE_SECONDS)
    assert [round(at - revoked_at, 2) for at in last_accepted_at if at > revoked_at + REVOKED_WITHIN_SECONDS] == []


async def test_a_limit_of_requests_holds_over_all_of_them_together(four: Four, opened: Bench) -> None:
    caller = await opened.caller(Scope.TASKS_READ)
    limits = {"requests_per_minute": PER_MINUTE}
    await opened.pool.execute("UPDATE agent SET limits = $2 WHERE id = $1", caller.agent_id, limits)
    began_at = time.monotonic()
    async with everywhere(four, caller) as clients:
        answers = await asyncio.gather(*(client.get("/tasks") for client in clients * PER_MINUTE))
    elapsed_seconds = time.monotonic() - began_at
    accepted = sum(answer.status_code == 200 for answer in answers)
    refused = [answer for answer in answers if answer.status_code != 200]
    assert PER_MINUTE <= accepted <= PER_MINUTE + math.ceil(elapsed_seconds * PER_MINUTE / 60)
    assert {(answer.status_code, answer.json()["error_code"]) for answer in refused} == {(429, "rate_limited")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)


async def _last_accepted(client: httpx.AsyncClient) -> float:
    """When the last request began that was accepted."""
    accepted_at = 0.0
    while True:
        asked_at = time.monotonic()
        answer = await client.get("/agents/me")
        if answer.status_code == 401:
            return accepted_at
        assert answer.status_code == 200, answer.text
        accepted_at = asked_at
