"""`python -m tests.property.fuzz_http COUNT [SEED]`: wrong requests at a gateway with stores of its own, over several
connections that are kept open. Fails for any 5xx but a documented 503, and for what the document does not announce."""

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from services.executor.tools.approval_request import ApprovalRequest
from shared.migrations import runner
from shared.vocabulary.scopes import Scope
from tests.conftest import DURABILITY_OFF
from tests.integration.gateway.bench import SECRETS_KEY, TOKEN_KEY, Bench, Caller, bench, serving
from tests.property.requests_to_fuzz import Requests, Wanted
from tests.support.documented import WITHOUT_OPERATION, ApiDocument, api_document
from tests.support.rows import make_task
from tests.support.steps import park, put_message, running_step

CONNECTIONS = 16
PATIENCE_SECONDS = 60.0
OBJECTS = 20
SHOWN = 10
NO_LIMITS = {
    "PAO_AUTH_FAILURES_PER_CLIENT": "1000000000",
    "PAO_AUTH_FAILURES_IN_ALL": "1000000000",
    "PAO_REQUESTS_PER_MINUTE": "1000000000",
    "PAO_TASK_CREATIONS_PER_HOUR": "1000000000",
}


class Tally:
    """What came back. `wrong`: each kind of wrong answer with the first request that got it."""

    def __init__(self) -> None:
        self.statuses: Counter[int] = Counter()
        self.wrong: dict[str, bytes] = {}

    def add(self, document: ApiDocument, wanted: Wanted, status: int, body: bytes) -> None:
        self.statuses[status] += 1
        fault = _fault(document, wanted, status, body)
        if fault is not None:
            self.wrong.setdefault(fault, wanted.sent)


class Connection:
    """One client, one request at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, sent: bytes) -> tuple[int, bytes]:
        """The status and the body; of a stream that begins, no body. Status 0: the server hung up without a word."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**22)
        reader, writer = self._streams
        try:
            writer.write(sent)
            return await asyncio.wait_for(self._answer(reader, is_head=sent.startswith(b"HEAD")), PATIENCE_SECONDS)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            return 0, b""

    async def _answer(self, reader: asyncio.StreamReader, *, is_head: bool) -> tuple[int, bytes]:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if status == 100:
            return await self._answer(reader, is_head=is_head)
        if b"text/event-stream" in head:
            self.close()
            return status, b""
        body = b"" if is_head or status in (204, 304) else await _body(reader, head)
        if b"connection: close" in head:
            self.close()
        return status, body

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


async def fuzz(count: int, seed: int, port: int, requests: Requests) -> Tally:
    tally, left, document = Tally(), iter(range(count)), api_document()

    async def ask_on() -> None:
        connection = Connection(port)
        for number in left:
            wanted = requests.one()
            tally.add(document, wanted, *await connection.ask(wanted.sent))
            if number and number % 50_000 == 0:
                sys.stdout.write(f"{number} of {count} (seed {seed}): {dict(sorted(tally.statuses.items()))}\n")
        connection.close()

    await asyncio.gather(*(ask_on() for _ in range(CONNECTIONS)))
    return tally


async def main(count: int, seed: int) -> int:
    draw = random.Random(seed)  # noqa: S311 (repeatable, guards nothing)
    with tempfile.TemporaryDirectory(prefix="pao-fuzz-") as folder:
        async with _gateway(Path(folder)) as opened:
            callers = [await opened.admin(), await opened.caller(*(each for each in Scope if each is not Scope.ADMIN))]
            known = await _objects(opened, callers)
            requests = Requests(api_document(), known, [caller.token.text for caller in callers], draw)
            began_at = time.monotonic()
            tally = await fuzz(count, seed, int(opened.url.rpartition(":")[2]), requests)
            seconds = time.monotonic() - began_at
        log = (Path(folder) / "log").read_text()
    sys.stdout.write(
        f"{count} requests, seed {seed}, {count / seconds:.0f}/s: {dict(sorted(tally.statuses.items()))}\n"
    )
    for fault, sent in [*tally.wrong.items()][:SHOWN]:
        sys.stdout.write(f"\n{fault}\n{sent[:3000]!r}\n")
    errors = [line for line in log.splitlines() if "request_failed" in line or "Traceback" in line]
    sys.stdout.writelines(f"{line[:2000]}\n" for line in errors[:SHOWN])
    return int(bool(tally.wrong))


@contextlib.asynccontextmanager
async def _gateway(folder: Path) -> AsyncIterator[Bench]:
    postgres, valkey = EmbeddedPostgres(folder / "postgres", settings=DURABILITY_OFF), EmbeddedValkey(folder / "valkey")
    with contextlib.ExitStack() as started:
        for server in (postgres, valkey):
            server.start()
            started.callback(server.stop)
        database_url = postgres.url("postgres")
        await runner.upgrade(database_url)
        environment = {
            "PAO_DATABASE_URL": database_url,
            "PAO_REDIS_URL": valkey.url(),
            "PAO_TOKEN_KEY": TOKEN_KEY,
            "PAO_SECRETS_KEY": SECRETS_KEY,
            "PAO_LOG_LEVEL": "WARNING",
            **NO_LIMITS,
        }
        url = started.enter_context(serving(environment, folder / "log"))
        async with bench(url, database_url) as opened:
            yield opened


async def _objects(opened: Bench, callers: list[Caller]) -> dict[str, list[str]]:
    """What the parameters of paths can name, of every kind and of both callers."""
    found: dict[str, list[str]] = {"tools/{name}": ["http.request"], "secrets/{name}": ["a", "b"], "dedupe_key": ["k"]}
    for caller in callers:
        for _ in range(OBJECTS):
            step = await running_step(opened.pool, caller.agent_id)
            waiting: Any = await ApprovalRequest(opened.pool).call({"prompt": "May I?"}, step)
            await park(opened.pool, step, waiting)
            task_id = await make_task(opened.pool, None, agent_id=caller.agent_id)
            other = await opened.caller(Scope.TASKS_READ)
            for name, value in (
                ("run_id", step.run_id),
                ("approval_id", waiting.output["approval_id"]),
                ("task_id", task_id),
                ("message_id", await put_message(opened.pool, caller.agent_id)),
                ("agent_id", other.agent_id),
                ("key_id", other.token.key_id),
            ):
                found.setdefault(name, []).append(str(value))
    return found


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if b"transfer-encoding: chunked" in head:
        pieces = []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            pieces.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return b"".join(pieces)
    length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length or 0))


def _fault(document: ApiDocument, wanted: Wanted, status: int, body: bytes) -> str | None:
    """None for an answer that is in order."""
    if status == 0:
        return "the connection was closed without an answer"
    code = msgspec.json.decode(body).get("error_code") if status >= 400 and body.startswith(b"{") else None
    operation = wanted.operation
    if operation is None:
        is_known = status < 500 or code in WITHOUT_OPERATION.get(status, ()) or b'"checks"' in body
        return None if is_known else f"{status} {code}"
    answer = operation.described["responses"].get(str(status))
    if answer is None:
        return f"{operation.method} {operation.path}: {status} {code} is not announced"
    if code is None:
        return None
    content = document.resolved(answer).get("content", {}).get("application/problem+json")
    codes = content["schema"]["properties"]["error_code"]["enum"] if content else []
    return None if code in codes else f"{operation.method} {operation.path}: the code {status} {code} is not announced"


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)))
