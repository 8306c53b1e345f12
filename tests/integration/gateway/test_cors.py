from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import Bench, Caller, bench, started

OURS = "https://console.example.com"
ALLOW_ORIGIN = "access-control-allow-origin"
FOREIGN = [
    "https://evil.example.com",
    "https://console.example.com.evil.com",
    "http://console.example.com",
    "null",
    "*",
]


@pytest.fixture
async def own_gateway(settings: GatewaySettings) -> AsyncIterator[Bench]:
    allowing = msgspec.structs.replace(settings, cors_origins=f"{OURS}, http://localhost:3000")
    async with (
        started(allowing) as client,
        bench(str(client.base_url).removesuffix("/v1/"), settings.database_url) as own,
    ):
        yield own


def _listed(answer: httpx.Response, header: str) -> set[str]:
    return set(answer.headers[header].split(", "))


async def _preflight(gateway: Bench, origin: str, method: str = "PUT") -> httpx.Response:
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    client = await gateway.client(**headers)
    # No document describes a preflight.
    client.event_hooks = {}
    return await client.options("/tasks/some-id")


async def test_pages_of_the_named_origins_may_call(own_gateway: Bench) -> None:
    asked = await _preflight(own_gateway, OURS)
    assert (asked.status_code, asked.content) == (204, b"")
    assert asked.headers[ALLOW_ORIGIN] == OURS
    assert _listed(asked, "access-control-allow-methods") >= {"GET", "POST", "PUT", "DELETE"}
    assert _listed(asked, "access-control-allow-headers") >= {"Authorization", "Idempotency-Key", "If-Match"}
    owner = await own_gateway.caller()
    made = await owner.client.get("/tasks", headers={"Origin": OURS})
    assert (made.status_code, made.headers[ALLOW_ORIGIN]) == (200, OURS)
    assert _listed(made, "access-control-expose-headers") >= {"ETag", "Location", "Retry-After", "X-Request-ID"}
    assert "Origin" in made.headers["vary"]
    assert "access-control-allow-credentials" not in made.headers
    refused = await owner.client.get("/nowhere", headers={"Origin": "http://localhost:3000"})
    assert (refused.status_code, refused.headers[ALLOW_ORIGIN]) == (404, "http://localhost:3000")
    for foreign in FOREIGN:
        asked = await _preflight(own_gateway, foreign)
        made = await owner.client.get("/tasks", headers={"Origin": foreign})
        assert (asked.status_code, made.status_code) == (401, 200)
        assert ALLOW_ORIGIN not in {*asked.headers, *made.headers}
        assert "Origin" in made.headers["vary"]


async def test_no_page_may_call_unless_an_operator_says_so(gateway: Bench, owner: Caller) -> None:
    asked = await _preflight(gateway, OURS)
    made = await owner.client.get("/tasks", headers={"Origin": OURS})
    assert (asked.status_code, made.status_code) == (401, 200)
    assert not [name for name in (*asked.headers, *made.headers) if name.startswith("access-control")]
