"""A value that was set as a secret is nowhere to be read: not in answers, tables, Valkey, or the log of a gateway."""

import base64
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import asyncpg
import httpx
import pytest
from redis.asyncio import Redis

from shared.secrets.keys import parse_key
from shared.secrets.ring import KeyRing, Place, Sealed
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import SECRETS_KEY, TOKEN_KEY, Bench, Caller, bench, serving

TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


@pytest.fixture
def canary() -> str:
    return f"canary-{uuid4().hex}"


async def test_the_value_of_a_secret_is_found_nowhere(
    canary: str, database_url: str, redis_url: str, redis: Redis, tmp_path: Path
) -> None:
    environment = {
        "PAO_DATABASE_URL": database_url,
        "PAO_REDIS_URL": redis_url,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_SECRETS_KEY": SECRETS_KEY,
        "PAO_LOG_LEVEL": "DEBUG",
    }
    log = tmp_path / "log"
    with serving(environment, log) as url:
        async with bench(url, database_url) as opened:
            caller = await opened.caller()
            answers = [*await _accepted(caller, canary), *await _refused(opened, caller, canary)]
            sealed_as = await _opened_value(opened, caller)
            dump = "\n".join([await _dump(opened.pool), str(answers), await _valkey(redis)])
    dump += log.read_text()
    assert sealed_as == canary
    assert "/secrets/{name" in dump
    for form in (canary, canary.encode().hex(), base64.b64encode(canary.encode()).decode()[:-4], quote(canary)):
        assert form not in dump


async def _accepted(caller: Caller, canary: str) -> list[str]:
    key = {"Idempotency-Key": str(uuid4())}
    answers = [
        await caller.put("/secrets/kept", {"value": canary}),
        await caller.put("/secrets/kept", {"value": canary}, headers=key),
        await caller.put("/secrets/kept", {"value": canary}, headers=key),
        await caller.put("/secrets/gone", {"value": canary}),
        await caller.get("/secrets"),
        await caller.get("/secrets/kept"),
        await caller.client.delete("/secrets/gone"),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 201, 200, 200, 204]
    return [_shown(answer) for answer in answers]


async def _refused(opened: Bench, caller: Caller, canary: str) -> list[str]:
    powerless = await opened.caller(Scope.TASKS_READ)
    nobody = await opened.client()
    large = canary * 2000
    broken = {"Content-Type": "application/json"}
    answers = [
        await powerless.put("/secrets/kept", {"value": canary}),
        await nobody.put("/secrets/kept", json={"value": canary}),
        await caller.put("/secrets/kept", {"value": canary, "extra": canary}),
        await caller.put("/secrets/kept", {"value": [canary]}),
        await caller.put("/secrets/kept", {"value": f"{canary}\0"}),
        await caller.put("/secrets/kept", {"value": large}),
        await caller.put("/secrets/kept", {"value": large * 4}),
        await caller.put("/secrets/kept", canary),
        await caller.put("/secrets/__proto__", {"value": canary}),
        await caller.post("/secrets/kept", {"value": canary}),
        await caller.client.put("/secrets/kept", content=f'{{"value": "{canary}"', headers=broken),
        await caller.client.put("/secrets/kept", content=b'{"value": "\xff' + canary.encode(), headers=broken),
    ]
    assert {answer.status_code for answer in answers} == {400, 401, 403, 405, 413, 422}
    return [_shown(answer) for answer in answers]


def _shown(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.headers} {answer.text}"


async def _opened_value(opened: Bench, caller: Caller) -> str:
    """That the canary was there to be found."""
    row = await opened.row("SELECT * FROM secret WHERE agent_id = $1", caller.agent_id)
    place = Place(row["agent_id"], row["name"], row["version"])
    return KeyRing(parse_key(SECRETS_KEY)).open(place, Sealed(row["key_id"], row["nonce"], row["ciphertext"]))


async def _dump(pool: asyncpg.Pool) -> str:
    """Every row of every table as text, bytea in hex."""
    rows = []
    for (table,) in await pool.fetch(TABLES):
        rows += [text for (text,) in await pool.fetch(f'SELECT entry::text FROM "{table}" AS entry')]
    return "\n".join(rows)


async def _valkey(redis: Redis) -> str:
    return "\n".join([repr((key, await redis.dump(key))) for key in await redis.keys("*")])
