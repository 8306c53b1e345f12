"""Every route, asked by everybody: its owner, another agent, one without the scope, tokens that are worth nothing, an
admin, nobody. The routes are those of the app; a new one is in the matrix without being named here."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias, cast
from uuid import uuid4

import httpx

from services.executor.tools.approval_request import ApprovalRequest
from services.gateway.app import Parts, build_routes
from services.gateway.documentation.examples import ids
from services.gateway.documentation.walk import Described, described_operations
from services.gateway.http.access import Access, access_of, media_types_of
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.documented import Nothing, api_document
from tests.support.rows import make_task
from tests.support.steps import park, put_message, running_step

PARAMETER = re.compile(r"\{(\w+)\}")
# Here everybody, an admin too, has names of his own: what another calls so is not looked at.
OF_ONESELF = ("/secrets/{name}", "/inbox/{message_id}", "/tasks/by-key/{dedupe_key}")
# Here everybody sees the same.
OF_ALL = ("/tools/{name}",)

Make: TypeAlias = Callable[[Bench, Caller], Awaitable[object]]
Faults: TypeAlias = AsyncIterator[str]
Answer: TypeAlias = tuple[int, dict[str, Any]]


async def _task(gateway: Bench, caller: Caller) -> object:
    return await make_task(gateway.pool, None, agent_id=caller.agent_id)


async def _task_with_run(gateway: Bench, caller: Caller) -> object:
    return (await running_step(gateway.pool, caller.agent_id)).task_id


async def _run(gateway: Bench, caller: Caller) -> object:
    return (await running_step(gateway.pool, caller.agent_id)).run_id


async def _message(gateway: Bench, caller: Caller) -> object:
    return await put_message(gateway.pool, caller.agent_id)


async def _approval(gateway: Bench, caller: Caller) -> object:
    step = await running_step(gateway.pool, caller.agent_id)
    waiting: Any = await ApprovalRequest(gateway.pool).call({"prompt": "Send it?"}, step)
    await park(gateway.pool, step, waiting)
    return waiting.output["approval_id"]


async def _agent(_gateway: Bench, caller: Caller) -> object:
    return caller.agent_id


async def _secret(_gateway: Bench, caller: Caller) -> object:
    name = f"s{uuid4().hex[:12]}"
    assert (await caller.put(f"/secrets/{name}", {"value": "v"})).status_code == 201
    return name


async def _keyed_task(gateway: Bench, caller: Caller) -> object:
    key = uuid4().hex
    await make_task(gateway.pool, None, agent_id=caller.agent_id, dedupe_key=key)
    return key


async def _tool(_gateway: Bench, _caller: Caller) -> object:
    return "http.request"


async def _token(gateway: Bench, caller: Caller) -> object:
    """Another token of the same agent than the one with which it asks."""
    key_id = uuid4().hex[:12]
    await gateway.pool.execute(
        "INSERT INTO agent_token (key_id, agent_id, secret_hash, expires_at) "
        "VALUES ($1, $2, $3, now() + interval '1 day')",
        *(key_id, caller.agent_id, b"unknown"),
    )
    return key_id


# How to make what a parameter of a path names; by the segment before it where several are called alike.
MAKERS: Mapping[str, Make] = {
    "task_id": _task,
    "task/{task_id}": _task_with_run,
    "run_id": _run,
    "message_id": _message,
    "approval_id": _approval,
    "agent_id": _agent,
    "dedupe_key": _keyed_task,
    "key_id": _token,
    "secrets/{name}": _secret,
    "tools/{name}": _tool,
}
MISSING: Mapping[str, str] = {"dedupe_key": "no-such-key", "key_id": "nosuchtoken1", "name": "no_such_name"}


class People(NamedTuple):
    """`manager` is the owner where agents are administered: it holds every scope but `admin`."""

    owner: Caller
    manager: Caller
    other: Caller
    admin: Caller
    worthless: list[httpx.AsyncClient]

    def owner_of(self, access: Access) -> Caller:
        return self.manager if access.scope is Scope.AGENTS_ADMIN else self.owner


async def test_everybody_may_what_the_route_declares_and_no_more(gateway: Bench) -> None:
    people = await _people(gateway)
    faults = []
    for one in _operations():
        try:
            faults += [f"{one.method} {one.path}: {fault}" for fault in await _Row(gateway, people, one).faults()]
        except AssertionError as undocumented:
            faults.append(str(undocumented))
    assert faults == [], "\n".join(faults)


def test_everything_that_paths_name_can_be_made() -> None:
    unknown = {segment for one in _operations() for segment in _segments(one.path) if _maker(segment) is None}
    assert unknown == set(), "add to MAKERS how to make what these name, and to MISSING what is none"


class _Row:
    """One route and all who ask it."""

    def __init__(self, gateway: Bench, people: People, one: Described) -> None:
        self._gateway = gateway
        self._people = people
        self._one = one
        access = access_of(one.handler)
        assert access is not None
        self._access = access
        self._path = one.path.removeprefix("/v1")
        self._body = _example(one)
        self._has_id = "{" in self._path or ids.TASK in str(self._body)

    async def faults(self) -> list[str]:
        owner = self._people.owner_of(self._access)
        path = await self._path_of(owner)
        self._task_id = str(await _task(self._gateway, owner))
        if self._access.is_public:
            return [fault async for fault in self._of_the_open(path)]
        askings = [
            self._of_the_worthless,
            self._of_the_powerless,
            self._of_another,
            self._of_its_owner,
            self._of_an_admin,
        ]
        return [fault for asking in askings async for fault in asking(path)]

    async def _of_the_open(self, path: str) -> Faults:
        for client in self._people.worthless:
            status, _ = await self._ask(client, path)
            if status in (401, 403, 404):
                yield f"open to all, but without a token it is {status}"

    async def _of_the_worthless(self, path: str) -> Faults:
        answers = [await self._ask(client, path) for client in self._people.worthless]
        if any(status != 401 for status, _ in answers) or answers.count(answers[0]) != len(answers):
            yield f"revoked, expired and no token are not refused alike: {answers}"

    async def _of_the_powerless(self, path: str) -> Faults:
        if self._access.scope is None:
            return
        scopes = [scope for scope in Scope if scope not in (self._access.scope, Scope.ADMIN)]
        powerless = await self._gateway.caller(*scopes)
        status, body = await self._ask(powerless.client, path)
        if (status, body.get("error_code")) != (403, "insufficient_scope"):
            yield f"without {self._access.scope} it is {status} {body}"

    async def _of_another(self, path: str) -> Faults:
        creates = self._one.method == "PUT" and self._path.endswith(OF_ONESELF)
        if not self._has_id or creates or self._access.scope is Scope.AGENTS_ADMIN or self._path.endswith(OF_ALL):
            return
        foreign = await self._ask(self._people.other.client, path)
        missing = await self._ask(self._people.other.client, PARAMETER.sub(_missing, self._path), str(uuid4()))
        if foreign[0] != 404 or foreign != missing:
            yield f"to another agent it is {foreign}, and what is missing {missing}"

    async def _of_its_owner(self, path: str) -> Faults:
        if self._access.scope is not Scope.ADMIN:
            async for fault in self._of_the_entitled(self._people.owner_of(self._access), path):
                yield f"to its owner {fault}"

    async def _of_an_admin(self, path: str) -> Faults:
        async for fault in self._of_the_entitled(self._people.admin, path):
            yield f"to an admin {fault}"

    async def _of_the_entitled(self, caller: Caller, path: str) -> Faults:
        is_own = any(part in self._path for part in OF_ONESELF)
        path = await self._path_of(caller) if is_own or self._one.method == "DELETE" else path
        status, body = await self._ask(caller.client, path)
        if status in (401, 403, 404) or status >= 500:
            yield f"it is {status} {body}"

    async def _path_of(self, caller: Caller) -> str:
        path = self._path
        for segment in _segments(self._one.path):
            maker = _maker(segment)
            assert maker is not None, segment
            whose = caller
            if maker is _agent and self._access.scope is Scope.AGENTS_ADMIN:
                whose = await self._gateway.caller(Scope.TASKS_READ)
            path = PARAMETER.sub(str(await maker(self._gateway, whose)), path, count=1)
        return path

    async def _ask(self, client: httpx.AsyncClient, path: str, task_id: str | None = None) -> Answer:
        """Streams are left as soon as they have begun. The task that the body speaks of is one of the owner's."""
        body = self._body
        if ids.TASK in str(body):
            body = {**body, "task_id": task_id or self._task_id}
        async with client.stream(self._one.method, path, json=body) as answer:
            if answer.status_code < 400 and media_types_of(self._one.handler):
                return answer.status_code, {}
            await answer.aread()
        shown = answer.json() if answer.content and "json" in answer.headers["content-type"] else {}
        return answer.status_code, {key: value for key, value in shown.items() if key != "request_id"}


async def _people(gateway: Bench) -> People:
    ordinary = [scope for scope in Scope if scope not in (Scope.ADMIN, Scope.AGENTS_ADMIN)]
    revoked, expired = await gateway.caller(), await gateway.caller(valid_for=timedelta(seconds=-1))
    await gateway.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE key_id = $1", revoked.token.key_id)
    return People(
        owner=await gateway.caller(*ordinary),
        manager=await gateway.caller(*ordinary, Scope.AGENTS_ADMIN),
        other=await gateway.caller(*ordinary),
        admin=await gateway.admin(),
        worthless=[await gateway.client(), revoked.client, expired.client],
    )


def _example(one: Described) -> Any:  # noqa: ANN401 (JSON)
    described = api_document().document["paths"][one.path][one.method.lower()]
    contents = [*described.get("requestBody", {}).get("content", {}).values()]
    return next(iter(contents[0]["examples"].values()))["value"] if contents else None


def _operations() -> list[Described]:
    """Those that take something away come last."""
    found = described_operations(build_routes(cast("Parts", Nothing())))
    return sorted(found, key=lambda one: (one.method == "DELETE", one.path, one.method))


def _segments(path: str) -> Iterator[str]:
    """Each parameter with the segment before it: `secrets/{name}`."""
    parts = path.split("/")
    return (f"{before}/{part}" for before, part in pairwise(parts) if part.startswith("{"))


def _maker(segment: str) -> Make | None:
    return MAKERS.get(segment) or MAKERS.get(PARAMETER.findall(segment)[0])


def _missing(parameter: re.Match[str]) -> str:
    return MISSING.get(parameter[1]) or str(uuid4())
