import time
from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import httpx
import msgspec
import pytest

from deploy.local.valkey import EmbeddedValkey
from services.gateway.auth.token import new_token
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import TOKEN_KEY, Bench, Served, bench, serving, started
from tests.support.waiting import wait_until

networks = count()


@pytest.fixture(scope="module")
def strict_gateway(
    shared_gateway: Served, valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Behind a proxy, and with the limits that are usual."""
    environment = {
        "PAO_DATABASE_URL": shared_gateway.database_url,
        "PAO_REDIS_URL": valkey.url(),
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_TRUSTED_PROXIES": "127.0.0.0/8",
    }
    with serving(environment, tmp_path_factory.mktemp("strict") / "log") as url:
        yield Served(url, shared_gateway.database_url)


@pytest.fixture
async def gateway(strict_gateway: Served) -> AsyncIterator[Bench]:
    async with bench(strict_gateway.url, strict_gateway.database_url) as opened:
        yield opened


@pytest.fixture
def network() -> str:
    """The beginning of addresses that no other test uses."""
    return f"198.18.{next(networks)}"


async def _fail(gateway: Bench, address: str, token: str | None = None) -> httpx.Response:
    authorization = f"Bearer {token or new_token().text}"
    return await (await gateway.client(**{"Authorization": authorization, "X-Forwarded-For": address})).get("/tasks")


async def _noted(gateway: Bench, network: str) -> list[asyncpg.Record]:
    """In the order in which they happened."""
    noted = (
        "SELECT * FROM audit_log WHERE action = 'auth.failed' AND details ->> 'address' LIKE $1 || '.%' ORDER BY seq"
    )
    return [*await gateway.pool.fetch(noted, network)]


async def _until_noted(gateway: Bench, network: str, times: int) -> None:
    async def are_noted() -> bool:
        return len(await _noted(gateway, network)) == times

    await wait_until(are_noted)


async def test_after_ten_failures_a_client_is_told_to_wait_and_no_more_is_noted(gateway: Bench, network: str) -> None:
    answers = [await _fail(gateway, f"{network}.1") for _ in range(12)]
    told = [(answer.status_code, answer.json()["error_code"]) for answer in answers]
    assert told == [(401, "unauthenticated")] * 10 + [(429, "rate_limited")] * 2
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
    assert (await _fail(gateway, f"{network}.2")).status_code == 401
    await _until_noted(gateway, network, 11)


async def test_a_forged_address_does_not_help(gateway: Bench, network: str) -> None:
    answers = [await _fail(gateway, f"192.0.2.{number}, {network}.1") for number in range(11)]
    assert answers[-1].status_code == 429


async def test_after_ten_failures_a_token_is_slow_from_everywhere_and_its_owner_notices_nothing(
    gateway: Bench, network: str
) -> None:
    owner = await gateway.caller()
    guessed = msgspec.structs.replace(new_token(), key_id=owner.token.key_id).text
    answers = [await _fail(gateway, f"{network}.{number}", guessed) for number in range(11)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429]
    owner.client.headers["X-Forwarded-For"] = f"{network}.1"
    assert (await owner.get("/tasks")).status_code == 200
    assert (await _fail(gateway, f"{network}.1")).status_code == 401


async def test_each_failure_is_noted_with_its_reason_and_never_with_the_token(gateway: Bench, network: str) -> None:
    owner = await gateway.caller()
    key_id = owner.token.key_id
    await gateway.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE key_id = $1", key_id)
    guessed = msgspec.structs.replace(new_token(), key_id=key_id)
    for token in (owner.token.text, guessed.text, "nonsense"):
        assert (await _fail(gateway, f"{network}.1", token)).status_code == 401
    await _until_noted(gateway, network, 3)
    rows = await _noted(gateway, network)
    told = [(row["subject_id"], row["details"]["reason"]) for row in rows]
    assert told == [(key_id, "not_valid"), (key_id, "unknown"), ("unknown", "malformed")]
    assert {(row["actor_id"], row["actor_name"], row["subject_type"]) for row in rows} == {(None, "anonymous", "auth")}
    assert all(row["request_id"] for row in rows)
    text = " ".join(str(dict(row)) for row in rows)
    assert not [secret for secret in (owner.token.secret, guessed.secret, "nonsense") if secret in text]


async def test_who_sends_no_token_at_all_is_neither_counted_nor_noted(gateway: Bench, network: str) -> None:
    anonymous = await gateway.client(**{"X-Forwarded-For": f"{network}.1"})
    assert {(await anonymous.get("/tasks")).status_code for _ in range(15)} == {401}
    assert (await _fail(gateway, f"{network}.1")).status_code == 401
    await _until_noted(gateway, network, 1)


async def test_nobody_waits_for_the_note(gateway: Bench, network: str) -> None:
    async with gateway.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        assert (await _fail(gateway, f"{network}.1")).status_code == 401
        assert time.monotonic() - began < 1
    await _until_noted(gateway, network, 1)


async def test_the_limit_in_all_keeps_nobody_with_a_token_out(
    settings: GatewaySettings, valkey: EmbeddedValkey
) -> None:
    # Apart from the other gateways, which count all together too.
    apart = msgspec.structs.replace(settings, redis_url=valkey.url(db=1))
    few = msgspec.structs.replace(apart, auth_failures_in_all=3, trusted_proxies="127.0.0.0/8")
    async with started(few) as client, bench(str(client.base_url).removesuffix("/v1/"), few.database_url) as opened:
        answers = [await _fail(opened, f"203.0.113.{number}") for number in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert (await (await opened.caller()).get("/tasks")).status_code == 200
        assert (await client.get("/tasks")).status_code == 401
