"""`make demo`: an agent schedules four kinds of work on the running system, and its runs are shown as they happen."""

import asyncio
import secrets
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web
from rich.console import Console
from rich.live import Live
from rich.table import Table

from deploy.local.faults import CannotStart
from deploy.local.settings import Settings, read_settings

LOOK_SECONDS = 0.5
RUNS_SHOWN = 15
AGENT_SCOPES = ["tasks:read", "tasks:write", "runs:read"]

# What the API answers: JSON whose shape its schema describes.
Json = dict[str, Any]


class Unreachable(CannotStart):
    """The gateway does not answer, for now or at all."""


class Client:
    """The API with one bearer token; a refusal becomes one line."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str) -> None:
        self._session = session
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: Mapping[str, object] | None = None) -> Json:
        return await self._ask("POST", path, body or {}, {})

    async def get(self, path: str, **query: str | int) -> Json:
        return await self._ask("GET", path, None, query)

    async def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None, query: Mapping[str, str | int]
    ) -> Json:
        url = f"{self._url}/v1{path}"
        try:
            async with self._session.request(method, url, json=body, headers=self._headers, params=query) as response:
                if not response.ok:
                    raise CannotStart(f"{method} {path} answered {response.status}: {await response.text()}")
                answer: Json = await response.json()
                return answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"nothing answers at {self._url}; `make run` starts it ({error})") from error


@dataclass(slots=True)
class Receiver:
    """The world: counts what it is sent, and whether any run was sent twice."""

    url: str = ""
    keys: list[str] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        return web.json_response({"received": len(self.keys)})

    @property
    def repeated(self) -> int:
        return len(self.keys) - len(set(self.keys))


@asynccontextmanager
async def started_receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(slots=True)
class Demo:
    """Acts as two: the admin, who makes the agent and may schedule every 5 s, and the agent itself."""

    admin: Client
    agent: Client
    agent_id: str
    receiver: Receiver
    titles: dict[str, str] = field(default_factory=dict)

    async def schedule(self) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=12)
        await self._make(self.admin, "every 5 s", "cron", "*/5 * * * * *", created_by=self.agent_id)
        quarter = await self._make(self.agent, "every 15 s", "rrule", "FREQ=MINUTELY;BYSECOND=0,15,30,45")
        await self._make(self.agent, "once", "once", soon.isoformat())
        await self.agent.post(f"/tasks/{quarter}/run_now")

    async def runs(self) -> Sequence[Json]:
        answer = await self.agent.get("/runs", limit=RUNS_SHOWN)
        items: list[Json] = answer["items"]
        return sorted(items, key=lambda run: str(run["scheduled_for"]), reverse=True)

    async def cancel(self) -> None:
        for task_id in self.titles:
            task = await self.agent.get(f"/tasks/{task_id}")
            if task["status"] in {"active", "paused"}:
                await self.agent.post(f"/tasks/{task_id}/cancel")

    async def _make(self, client: Client, title: str, kind: str, expression: str, **more: str) -> str:
        call = {"method": "POST", "url": self.receiver.url, "json": {"title": title}}
        task: dict[str, object] = {
            "title": f"Demo: {title}",
            "schedule_kind": kind,
            "schedule_expr": expression,
            "timezone": "UTC",
            "payload": {"pipeline": [{"id": "call", "uses": "http.request", "with": call}]},
        }
        made = await client.post("/tasks", task | more)
        self.titles[made["id"]] = title
        return str(made["id"])


def table_of(demo: Demo, runs: Sequence[Json], seconds_left: float) -> Table:
    sent, repeated = len(demo.receiver.keys), demo.receiver.repeated
    table = Table(
        title=f"The latest runs ({seconds_left:.0f} s left, Ctrl-C ends)",
        caption=f"the receiver got {sent} calls, {repeated} of them twice",
    )
    for name in ("task", "source", "scheduled for", "started", "lateness", "status"):
        table.add_column(name, justify="right" if name == "lateness" else "left", no_wrap=True)
    for run in runs:
        table.add_row(*row_of(run, demo.titles.get(run["task_id"], "?")))
    return table


def row_of(run: Json, title: str) -> tuple[str, ...]:
    scheduled = datetime.fromisoformat(run["scheduled_for"])
    started = datetime.fromisoformat(run["started_at"]) if run["started_at"] else None
    lateness = f"{(started - scheduled).total_seconds() * 1000:.0f} ms" if started else ""
    return title, run["source"], clock_of(scheduled), clock_of(started), lateness, run["status"]


def clock_of(instant: datetime | None) -> str:
    return instant.astimezone(UTC).strftime("%H:%M:%S.%f")[:-3] if instant else ""


async def play(settings: Settings, console: Console) -> None:
    token = read_token(settings)
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
        started_receiver() as receiver,
    ):
        admin = Client(session, settings.url, token)
        made = await admin.post("/agents", {"name": f"demo-{secrets.token_hex(4)}", "scopes": AGENT_SCOPES})
        demo = Demo(admin, Client(session, settings.url, made["token"]), made["id"], receiver)
        try:
            await demo.schedule()
            await show(demo, console, settings.demo_seconds)
        finally:
            await demo.cancel()
            console.print(f"Canceled the {len(demo.titles)} tasks of agent {made['name']}.")


async def show(demo: Demo, console: Console, seconds: float) -> None:
    ends_at = time.monotonic() + seconds
    runs: Sequence[Json] = []
    with Live(console=console, auto_refresh=False) as live:
        while (left := ends_at - time.monotonic()) > 0:
            with suppress(Unreachable):  # killed while we look: its supervisor starts it again
                runs = await demo.runs()
            live.update(table_of(demo, runs, left), refresh=True)
            await asyncio.sleep(LOOK_SECONDS)
    console.line()


def read_token(settings: Settings) -> str:
    try:
        return settings.admin_token_file.read_text(encoding="ascii").strip()
    except OSError as error:
        raise CannotStart(f"no admin token in {settings.data_dir}; `make run` makes one") from error


def main() -> int:
    try:
        asyncio.run(play(read_settings(), Console()))
    except CannotStart as fault:
        print(f"cannot go on: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
