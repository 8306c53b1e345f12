"""Every route that changes something leaves an entry in the audit trail, or is listed here with the reason why not."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest

from services.gateway.app import CONTROLLERS
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from shared.vocabulary.ids import uuid7
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import SECRETS_KEY, TOKEN_KEY, Bench, Caller, bench, task_body
from tests.integration.gateway.test_approvals import ask
from tests.support.runs import finish_run, park_run

WITHOUT_ENTRY = {
    "preview_schedules": "saves nothing",
    "validate_pipeline": "saves nothing",
    "ack_message": "the traffic of an agent with itself; the run keeps the outcome",
    "nack_message": "as ack_message",
    "extend_message": "as ack_message",
    "extend_wait": "progress of a step, which its journal shows",
    "write_log": "the log of a run, which holds it",
}

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

Made: TypeAlias = tuple[str, str, object]
Prepare: TypeAlias = Callable[["World"], Awaitable[Made]]


class World:
    """An admin, and what there is for it to change."""

    def __init__(self, gateway: Bench, admin: Caller) -> None:
        self.gateway = gateway
        self.admin = admin

    async def task_id(self, **changes: object) -> str:
        made: str = (await self.admin.create_task(**changes))["id"]
        return made

    async def run_id(self) -> UUID:
        answer = await self.admin.post(f"/tasks/{await self.task_id()}/run_now")
        return UUID(answer.json()["details"]["run_id"])

    async def agent_id(self) -> str:
        answer = await self.admin.post("/agents", {"name": f"agent {uuid4()}"})
        made: str = answer.json()["id"]
        return made


def of_task(verb: str, body: object = None, *, first: str | None = None) -> Prepare:
    async def prepare(world: World) -> Made:
        task_id = await world.task_id()
        if first is not None:
            await world.admin.post(f"/tasks/{task_id}/{first}")
        return "POST", f"/tasks/{task_id}/{verb}", body

    return prepare


def of_many(verb: str, *, first: str | None = None) -> Prepare:
    async def prepare(world: World) -> Made:
        task_id = await world.task_id()
        if first is not None:
            await world.admin.post(f"/tasks/{task_id}/{first}")
        return "POST", f"/tasks/bulk/{verb}", {"filter": {"ids": [task_id]}}

    return prepare


def of_step(verb: str, body: object) -> Prepare:
    async def prepare(world: World) -> Made:
        run_id = await world.run_id()
        await park_run(world.gateway.pool, run_id)
        return "POST", f"/runs/{run_id}/{verb}", body

    return prepare


def of_approval(verb: str) -> Prepare:
    async def prepare(world: World) -> Made:
        _, approval_id = await ask(world.gateway, world.admin)
        return "POST", f"/approvals/{approval_id}/{verb}", {}

    return prepare


def plain(method: str, path: str, body: object = None) -> Prepare:
    async def prepare(_world: World) -> Made:
        return method, path, body

    return prepare


async def skipped(world: World) -> Made:
    task = await world.admin.create_task()
    return "POST", f"/tasks/{task['id']}/skip", {"scheduled_for": task["next_run_at"]}


async def updated(world: World) -> Made:
    return "PUT", f"/tasks/{await world.task_id()}", {"title": "Another"}


async def canceled_run(world: World) -> Made:
    return "POST", f"/runs/{await world.run_id()}/cancel", {}


async def replayed_run(world: World) -> Made:
    run_id = await world.run_id()
    await finish_run(world.gateway.pool, run_id)
    return "POST", f"/runs/{run_id}/replay", {}


async def replayed_events(world: World) -> Made:
    topic = f"audit.t{uuid4().hex}"
    await world.admin.post("/events", {"topic": topic, "payload": {}})
    task_id = await world.task_id(schedule_kind="event", schedule_expr=topic)
    return "POST", "/events/replay", {"task_id": task_id, "from": "2026-01-01T00:00:00Z"}


async def cleaned_up(world: World) -> Made:
    """An event of long ago, which Redis has."""
    await world.gateway.pool.execute(
        "INSERT INTO event (id, topic, payload, source_agent_id, published_at, relayed_at) "
        "VALUES ($1, 'audit.old', '{}', $2, $3, $3)",
        uuid7(LONG_AGO),
        world.admin.agent_id,
        LONG_AGO,
    )
    return "DELETE", "/events/stream/cleanup?max_age_hours=24", None


async def updated_agent(world: World) -> Made:
    return "PUT", f"/agents/{await world.agent_id()}", {"name": f"agent {uuid4()}"}


async def deleted_agent(world: World) -> Made:
    return "DELETE", f"/agents/{await world.agent_id()}", None


async def new_token(world: World) -> Made:
    return "POST", f"/agents/{await world.agent_id()}/tokens", {}


async def rotated_token(world: World) -> Made:
    path = f"/agents/{await world.agent_id()}/tokens"
    made = (await world.admin.post(path, {})).json()
    return "POST", f"{path}/{made['key_id']}/rotate", {}


async def revoked_token(world: World) -> Made:
    path = f"/agents/{await world.agent_id()}/tokens"
    made = (await world.admin.post(path, {})).json()
    return "DELETE", f"{path}/{made['key_id']}", None


async def deleted_secret(world: World) -> Made:
    await world.admin.put("/secrets/gone", {"value": "x"})
    return "DELETE", "/secrets/gone", None


CHANGES: dict[str, Prepare] = {
    "create_task": plain("POST", "/tasks", task_body()),
    "declare_task": plain("PUT", "/tasks/by-key/declared", task_body()),
    "update_task": updated,
    "cancel_task": of_task("cancel"),
    "pause_task": of_task("pause"),
    "resume_task": of_task("resume", first="pause"),
    "run_task_now": of_task("run_now"),
    "snooze_task": of_task("snooze", {"delay_seconds": 60}),
    "skip_occurrence": skipped,
    "create_tasks": plain("POST", "/tasks/batch", {"tasks": [task_body()]}),
    "pause_tasks": of_many("pause"),
    "resume_tasks": of_many("resume", first="pause"),
    "cancel_tasks": of_many("cancel"),
    "cancel_run": canceled_run,
    "replay_run": replayed_run,
    "complete_step": of_step("complete", {}),
    "fail_step": of_step("fail", {"message": "no"}),
    "approve": of_approval("approve"),
    "reject": of_approval("reject"),
    "publish_event": plain("POST", "/events", {"topic": "audit.one", "payload": {}}),
    "publish_events": plain("POST", "/events/batch", {"events": [{"topic": "audit.many", "payload": {}}]}),
    "replay_events": replayed_events,
    "clean_up_events": cleaned_up,
    "create_agent": plain("POST", "/agents", {"name": "made here"}),
    "update_agent": updated_agent,
    "delete_agent": deleted_agent,
    "create_agent_token": new_token,
    "rotate_agent_token": rotated_token,
    "revoke_agent_token": revoked_token,
    "put_secret": plain("PUT", "/secrets/kept", {"value": "x"}),
    "delete_secret": deleted_secret,
}


def changing_routes() -> set[str]:
    """The names of all handlers whose method may change something."""
    return {
        name
        for controller in CONTROLLERS
        for name in dir(controller)
        if {*getattr(getattr(controller, name), "http_methods", ())} - {"GET", "HEAD", "OPTIONS"}
    }


@pytest.fixture
async def world(database_url: str, redis_url: str) -> AsyncIterator[World]:
    settings = GatewaySettings(
        database_url=database_url, redis_url=redis_url, token_key=TOKEN_KEY, secrets_key=SECRETS_KEY, http_port=0
    )
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    try:
        async with bench(f"http://127.0.0.1:{service.port}", database_url) as opened:
            yield World(opened, await opened.caller(Scope.ADMIN))
    finally:
        await service.stop()


def test_every_route_that_changes_something_is_known_here() -> None:
    assert changing_routes() == CHANGES.keys() | WITHOUT_ENTRY.keys()


async def test_every_change_leaves_an_entry_that_names_its_request(world: World) -> None:
    """In one gateway for all: what fails is told by the name of its route."""
    told = {name: await _told(world, prepare) for name, prepare in CHANGES.items()}
    assert {name: found for name, found in told.items() if found != (True, True)} == {}


async def _told(world: World, prepare: Prepare) -> tuple[Any, bool]:
    """Whether it was accepted, else the answer; and whether there is an entry of it."""
    method, path, body = await prepare(world)
    request_id = uuid4().hex
    answer: httpx.Response = await world.admin.client.request(
        method, path, json=body, headers={"X-Request-ID": request_id}
    )
    return answer.is_success or answer.text, await _has_entry(world.gateway.pool, request_id)


async def _has_entry(pool: asyncpg.Pool, request_id: str) -> bool:
    row = await pool.fetchrow(
        "SELECT count(*) > 0 AND bool_and(subject_type = split_part(action, '.', 1)) FROM audit_log "
        "WHERE request_id = $1",
        request_id,
    )
    return row is not None and bool(row[0])
