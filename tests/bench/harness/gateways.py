"""Gateways as they are deployed, the bare server beside them, and what calls both."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from uuid import uuid4

import asyncpg
import msgspec

from services.gateway.auth.token import hash_secret, new_token
from shared.vocabulary.scopes import Scope
from tests.bench.harness.executors import TOKEN_KEY
from tests.bench.harness.load import Answered, Load
from tests.bench.harness.processes import working

PATIENCE_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.05


@contextlib.asynccontextmanager
async def serving(database_url: str, redis_url: str) -> AsyncIterator[int]:
    """One gateway with its defaults; its port."""
    own = {
        "PAO_DATABASE_URL": database_url,
        "PAO_REDIS_URL": redis_url,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_LOG_LEVEL": "WARNING",
        "PAO_HTTP_PORT": str(port := _free_port()),
    }
    async with _process("services.gateway", environment=own):
        await _listening(port)
        yield port


@contextlib.asynccontextmanager
async def serving_bare(database_url: str) -> AsyncIterator[int]:
    port = _free_port()
    async with _process("tests.bench.harness.bare", database_url, str(port)):
        await _listening(port)
        yield port


async def make_admin(connection: asyncpg.Connection) -> str:
    """The token of a new agent that no limit holds back."""
    agent_id, token = uuid4(), new_token()
    await connection.execute(
        "INSERT INTO agent (id, name, name_key, scopes) VALUES ($1, $2, $2, $3)",
        agent_id,
        f"caller {agent_id}",
        [Scope.ADMIN],
    )
    await connection.execute(
        "INSERT INTO agent_token (key_id, agent_id, secret_hash) VALUES ($1, $2, $3)",
        token.key_id,
        agent_id,
        hash_secret(TOKEN_KEY.encode(), token.secret),
    )
    return token.text


def request(method: str, path: str, body: object = None, token: str | None = None) -> bytes:
    content = b"" if body is None else msgspec.json.encode(body)
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(content))}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + content


async def called(
    port: int, requests: Sequence[bytes], *, connections: int, seconds: float, per_second: float = 0.0
) -> Answered:
    load = Load(port, [*requests], connections, seconds, per_second)
    async with working("tests.bench.harness.load", load) as worker:
        await worker.begin()
        return await worker.answer(Answered)


@contextlib.asynccontextmanager
async def _process(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments, env={**os.environ, **(environment or {})}
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(LOOK_EVERY_SECONDS)
        else:
            writer.close()
            return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
