"""What the gateway's tests work with: a gateway that is served, agents that call it, a look behind it."""

import base64
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import IO, Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import httpx

from deploy.local.postgres import EmbeddedPostgres
from services.gateway.auth.token import Token, hash_secret, new_token
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from shared.database.pool import open_pool
from shared.vocabulary.names import name_key
from shared.vocabulary.scopes import DEFAULT_SCOPES, Scope
from tests.conftest import TEMPLATE
from tests.support.documented import check_documented

ROOT = Path(__file__).parents[3]
PATIENCE_SECONDS = 20.0
TOKEN_KEY = "0123456789-for-tests-only-abcdefghijkl"
SECRETS_KEY = base64.b64encode(hashlib.sha256(b"for tests only").digest()).decode()
HTTP_CALL = {"id": "call", "uses": "http.request", "with": {"url": "https://example.com/hook"}}


def task_body(**changes: object) -> dict[str, Any]:
    """What creates a task that fires once an hour."""
    return {
        "title": "A task",
        "schedule_kind": "cron",
        "schedule_expr": "0 * * * *",
        "timezone": "UTC",
        "payload": {"pipeline": [HTTP_CALL]},
        **changes,
    }


def payload_with(**arguments: object) -> dict[str, Any]:
    return {"pipeline": [{"id": "call", "uses": "http.request", "with": arguments}]}


class Caller:
    """One agent with its token."""

    def __init__(self, client: httpx.AsyncClient, agent_id: UUID, token: Token) -> None:
        self.client = client
        self.agent_id = agent_id
        self.token = token

    async def get(self, path: str, **parameters: str | int) -> httpx.Response:
        return await self.client.get(path, params=parameters)

    async def post(self, path: str, json: object = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.post(path, json=json, headers=headers)

    async def put(self, path: str, json: object = None, headers: Mapping[str, str] | None = None) -> httpx.Response:
        return await self.client.put(path, json=json, headers=headers)

    async def post_bytes(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        return await self.client.post(path, content=body, headers={"Content-Type": content_type})

    async def create_task(self, **changes: object) -> dict[str, Any]:
        answer = await self.post("/tasks", task_body(**changes))
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def show_task(self, task_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = (await self.get(f"/tasks/{task_id}")).json()
        return shown


class Bench:
    """`url` is that of the gateway, `pool` the way to look behind it."""

    def __init__(self, url: str, pool: asyncpg.Pool, stack: AsyncExitStack) -> None:
        self.url = url
        self.pool = pool
        self._stack = stack

    async def row(self, query: str, *arguments: object) -> asyncpg.Record:
        """The one row that is there."""
        (found,) = await self.pool.fetch(query, *arguments)
        return found

    async def client(self, **headers: str) -> httpx.AsyncClient:
        return await self._stack.enter_async_context(open_client(f"{self.url}/v1", headers))

    async def caller(
        self,
        *scopes: Scope,
        name: str | None = None,
        valid_for: timedelta = timedelta(days=90),
        status: str = "active",
    ) -> Caller:
        """An agent with these scopes: without any, with those that an agent usually has."""
        agent_id, token = uuid4(), new_token()
        shown = name or f"agent {agent_id}"
        await self.pool.execute(
            "INSERT INTO agent (id, name, name_key, scopes, status) VALUES ($1, $2, $3, $4, $5)",
            agent_id,
            shown,
            name_key(shown),
            [*(scopes or DEFAULT_SCOPES)],
            status,
        )
        await self.pool.execute(
            "INSERT INTO agent_token (key_id, agent_id, secret_hash, expires_at) VALUES ($1, $2, $3, now() + $4)",
            token.key_id,
            agent_id,
            hash_secret(TOKEN_KEY.encode(), token.secret),
            valid_for,
        )
        return Caller(await self.client(Authorization=f"Bearer {token.text}"), agent_id, token)

    async def admin(self) -> Caller:
        return await self.caller(Scope.ADMIN)


def open_client(url: str, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    """Without certificates, whose loading takes longer than most tests. It accepts no answer that the document does not
    announce."""
    hooks = {"response": [check_documented]}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=10, verify=False, event_hooks=hooks)  # noqa: S501


class Served(NamedTuple):
    url: str
    database_url: str


@contextlib.asynccontextmanager
async def bench(url: str, database_url: str) -> AsyncIterator[Bench]:
    pool = await open_pool(database_url, application_name="test", size=10)
    try:
        async with AsyncExitStack() as stack:
            yield Bench(url, pool, stack)
    finally:
        await pool.close()


@contextlib.asynccontextmanager
async def started(settings: GatewaySettings) -> AsyncIterator[httpx.AsyncClient]:
    """A gateway in this process, and a client without a token."""
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    try:
        async with open_client(f"http://127.0.0.1:{service.port}/v1") as client:
            yield client
    finally:
        await service.stop()


@contextlib.contextmanager
def serving(environment: Mapping[str, str], log: Path) -> Iterator[str]:
    """A gateway in a process of its own; its URL once it listens."""
    port = free_port()
    with (
        log.open("wb") as stderr,
        start("services.gateway", {**environment, "PAO_HTTP_PORT": str(port)}, stderr) as process,
    ):
        try:
            _wait_for_port(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def start(
    module: str, environment: Mapping[str, str], stderr: IO[bytes] | int = subprocess.PIPE
) -> subprocess.Popen[bytes]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAO_")}
    return subprocess.Popen([sys.executable, "-m", module], cwd=ROOT, env={**inherited, **environment}, stderr=stderr)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def make_database(postgres: EmbeddedPostgres, name: str) -> str:
    admin = await asyncpg.connect(postgres.url("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    finally:
        await admin.close()
    return postgres.url(name)


def _wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the gateway does not listen: {log.read_text()[-2000:]}") from None
            time.sleep(0.02)
        else:
            return
