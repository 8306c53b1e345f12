"""A revocation holds at every gateway: at once where it was asked for, within a second anywhere."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import msgspec
import pytest

from deploy.local.valkey import EmbeddedValkey
from services.gateway.auth import cache
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import (
    SECRETS_KEY,
    TOKEN_KEY,
    Bench,
    Caller,
    Served,
    free_port,
    open_client,
    serving,
    started,
)
from tests.support.waiting import wait_until

AN_HOUR = 3600.0


class Hammer:
    """Asks one gateway again and again. `last_good_at`: when the last 200 arrived."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self.last_good_at = 0.0
        self.statuses: set[int] = set()
        self.is_refused = False

    async def run(self) -> None:
        while not self.is_refused:
            answer = await self._client.get("/agents/me")
            self.statuses.add(answer.status_code)
            self.is_refused = answer.status_code == 401
            if answer.status_code == 200:
                self.last_good_at = time.monotonic()


async def test_the_last_good_answer_comes_within_a_second_with_and_without_redis(
    gateway: Bench, admin: Caller, shared_gateway: Served, valkey: EmbeddedValkey, tmp_path: Path
) -> None:
    environment = {
        "PAO_DATABASE_URL": shared_gateway.database_url,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_SECRETS_KEY": SECRETS_KEY,
    }
    away = f"redis://127.0.0.1:{free_port()}/0"
    caller = await gateway.caller()
    headers = {"Authorization": f"Bearer {caller.token.text}"}
    with ExitStack() as stack:
        urls = [
            await asyncio.to_thread(
                stack.enter_context, serving({**environment, "PAO_REDIS_URL": url}, tmp_path / f"log{number}")
            )
            for number, url in enumerate((valkey.url(), away))
        ]
        async with open_client(f"{urls[0]}/v1", headers) as one, open_client(f"{urls[1]}/v1", headers) as other:
            hammers = [Hammer(one), Hammer(other), Hammer(caller.client)]
            async with asyncio.TaskGroup() as group:
                for hammer in hammers:
                    group.create_task(hammer.run())
                await wait_until(lambda: all(hammer.last_good_at for hammer in hammers))
                path = f"/agents/{caller.agent_id}/tokens/{caller.token.key_id}"
                assert (await admin.client.delete(path)).status_code == 204
                revoked_at = time.monotonic()
    assert {status for hammer in hammers for status in hammer.statuses} == {200, 401}
    late = [hammer.last_good_at - revoked_at for hammer in hammers]
    assert max(late) <= 1.0, late


async def test_others_hear_of_a_change_and_do_not_wait_for_their_own_look(
    own_gateway: Bench, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CACHE_SECONDS", AN_HOUR)
    admin, caller = await own_gateway.admin(), await own_gateway.caller()
    async with started(settings) as other:
        other.headers["Authorization"] = f"Bearer {caller.token.text}"

        async def becomes(status: int) -> None:
            await wait_until(lambda: _answers(other, status))

        await becomes(200)
        await admin.put(f"/agents/{caller.agent_id}", {"status": "disabled"})
        await becomes(401)
        await admin.put(f"/agents/{caller.agent_id}", {"status": "active"})
        await becomes(200)
        await admin.client.delete(f"/agents/{caller.agent_id}/tokens/{caller.token.key_id}")
        await becomes(401)


async def test_the_gateway_that_was_asked_knows_at_once_also_without_redis(
    own_gateway: Bench, settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CACHE_SECONDS", AN_HOUR)
    admin, caller = await own_gateway.admin(), await own_gateway.caller()
    away = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    async with started(away) as client:
        tokens = {agent: {"Authorization": f"Bearer {agent.token.text}"} for agent in (admin, caller)}
        assert (await client.get("/agents/me", headers=tokens[caller])).status_code == 200
        path = f"/agents/{caller.agent_id}/tokens/{caller.token.key_id}"
        assert (await client.delete(path, headers=tokens[admin])).status_code == 204
        assert (await client.get("/agents/me", headers=tokens[caller])).status_code == 401


async def test_a_token_that_expires_is_refused_though_it_is_known(
    own_gateway: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "CACHE_SECONDS", AN_HOUR)
    caller = await own_gateway.caller()
    await own_gateway.pool.execute("UPDATE agent_token SET expires_at = now() + interval '1 s'")
    assert (await caller.get("/agents/me")).status_code == 200

    async def is_refused() -> bool:
        return (await caller.get("/agents/me")).status_code == 401

    await wait_until(is_refused, patience_seconds=3)


async def _answers(client: httpx.AsyncClient, status: int) -> bool:
    return (await client.get("/agents/me")).status_code == status
