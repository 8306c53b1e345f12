"""A real HTTP receiver that tests look at instead of the system's own tables."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def _ok(_request: web.Request) -> web.StreamResponse:
    return web.json_response({"ok": True})


class Receiver:
    """`keys` are the idempotency keys in the order of their arrival, `arrivals` their wall-clock times."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.arrivals: list[float] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Answer = _ok
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.arrivals.append(time.time())
        self.keys.append(request.headers["Idempotency-Key"])
        self.headers.append(dict(request.headers))
        await self.may_answer.wait()
        return await self.answer(request)

    def deliveries(self) -> Counter[str]:
        """How often each key arrived."""
        return Counter(self.keys)

    def call(self) -> dict[str, object]:
        """A payload that calls this receiver."""
        return {"pipeline": [{"id": "call", "uses": "http.request", "with": {"url": self.url, "json": {"n": 1}}}]}


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()
