"""Versions side by side, and routes that will go: with routes of the tests' own."""

from collections.abc import AsyncIterator, Mapping
from datetime import date
from functools import partial

import httpx
import pytest
from litestar import Controller, get

from services.gateway import service
from services.gateway.app import CONTROLLERS, build_app
from services.gateway.http.access import any_agent
from services.gateway.http.deprecation import deprecated
from services.gateway.schedules.controller import ScheduleController
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import Bench, Caller, bench, started, task_body

GOING = deprecated(since=date(2026, 1, 31), sunset=date(2027, 1, 31), successor="/v2/tools")
LEAVING_SOME_DAY = deprecated(since=date(2026, 1, 31))


class Going(Controller):
    path = "/going"

    @get(opt=any_agent() | GOING, summary="Goes")
    async def show_going(self) -> Mapping[str, int]:
        return {"version": 1}

    @get("/slowly", opt=any_agent() | LEAVING_SOME_DAY, summary="Goes some day")
    async def show_going_slowly(self) -> Mapping[str, int]:
        return {"version": 1}


class Coming(Controller):
    path = "/going"

    @get(opt=any_agent(), summary="Stays")
    async def show_coming(self) -> Mapping[str, int]:
        return {"version": 2}


VERSIONS: Mapping[str, list[type[Controller]]] = {
    "v1": [*CONTROLLERS, Going],
    "v2": [*[each for each in CONTROLLERS if each is not ScheduleController], Coming],
}


@pytest.fixture
async def own_gateway(settings: GatewaySettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(service, "build_app", partial(build_app, versions=VERSIONS))
    async with (
        started(settings) as client,
        bench(str(client.base_url).removesuffix("/v1/"), settings.database_url) as own,
    ):
        yield own


async def test_versions_answer_side_by_side_and_what_goes_says_so(own_gateway: Bench) -> None:
    caller = await own_gateway.caller()
    # The document of the service has none of these routes.
    caller.client.event_hooks = {}
    await _versions_answer(own_gateway, caller)
    await _what_goes_says_so(own_gateway, caller)


async def _versions_answer(gateway: Bench, caller: Caller) -> None:
    async def shown(path: str) -> object:
        answer: httpx.Response = await caller.client.get(f"{gateway.url}{path}")
        return answer.json().get("version", answer.status_code)

    assert [await shown(path) for path in ("/v1/going", "/v2/going", "/going", "/v3/going")] == [1, 2, 1, 404]
    task = await caller.create_task()
    assert [await shown(f"{prefix}/tasks/{task['id']}") for prefix in ("", "/v1", "/v2")] == [1, 1, 1]
    previews = [f"{gateway.url}{prefix}/schedules/preview" for prefix in ("/v1", "/v2")]
    assert [(await caller.client.post(url, json={})).status_code for url in previews] == [422, 404]
    made = [
        await caller.client.post(f"{gateway.url}/{version}/tasks", json=task_body(), headers={"Idempotency-Key": "one"})
        for version in ("v1", "v2")
    ]
    assert made[0].json()["id"] != made[1].json()["id"]


async def _what_goes_says_so(gateway: Bench, caller: Caller) -> None:
    going, slowly = await caller.get("/going"), await caller.get("/going/slowly")
    assert (going.headers["deprecation"], going.headers["sunset"]) == ("@1769817600", "Sun, 31 Jan 2027 00:00:00 GMT")
    assert going.headers["link"] == '</v2/tools>; rel="successor-version"'
    assert slowly.headers["deprecation"] == "@1769817600"
    assert not {"sunset", "link"} & {*slowly.headers}
    stays = await caller.client.get(f"{gateway.url}/v2/going")
    assert not {"deprecation", "sunset", "link"} & {*stays.headers}
    paths = (await caller.client.get(f"{gateway.url}/schema/openapi.json")).json()["paths"]
    assert [paths[path]["get"].get("deprecated", False) for path in ("/v1/going", "/v1/tasks")] == [True, False]
    assert not [path for path in paths if path.startswith("/v2")]
