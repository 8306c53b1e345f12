"""A real MCP server, made with the official SDK, on a free port of the loopback interface."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import msgspec
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp_types import ImageContent, TextContent

from tests.support.waiting import wait_until

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Heard(msgspec.Struct, frozen=True):
    """One HTTP request: `called` is the method of JSON-RPC, if it was one."""

    method: str
    called: str | None
    headers: dict[str, str]


class Served:
    """`heard` are the HTTP requests in their order; `may_finish` lets the tool `slow` end, `started` tells that it has
    begun, `given_up` that it was cancelled."""

    def __init__(self, *, is_old: bool) -> None:
        self.is_old = is_old
        self.heard: list[Heard] = []
        self.started = asyncio.Event()
        self.may_finish = asyncio.Event()
        self.given_up = asyncio.Event()
        self.counted = 0
        self.url = ""
        self.server = _server_of(self)

    def called(self, name: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.called == name]


class Point(msgspec.Struct):
    x: int
    y: int


def _server_of(served: Served) -> MCPServer:
    server = MCPServer("support", log_level="CRITICAL")

    @server.tool()
    def add(a: int, b: int) -> int:
        served.counted += 1
        return a + b

    @server.tool()
    def describe(city: str, days: int = 1) -> dict[str, Any]:
        return {"city": city, "days": days, "nothing": None}

    @server.tool(structured_output=False)
    def parts() -> list[Any]:
        image = ImageContent(type="image", data="aGVsbG8=", mime_type="image/png")
        return [TextContent(type="text", text="one"), image, TextContent(type="text", text="two")]

    @server.tool()
    def fails(why: str) -> str:
        raise ValueError(why)

    @server.tool(structured_output=False)
    def huge(characters: int) -> str:
        return "x" * characters

    @server.tool()
    def grep(pattern: str) -> str:
        return pattern

    @server.tool()
    async def slow() -> str:
        served.started.set()
        try:
            await served.may_finish.wait()
        except asyncio.CancelledError:
            served.given_up.set()
            raise
        return "done"

    return server


@contextlib.asynccontextmanager
async def mcp_serving(
    *, is_old: bool = False, is_stateless: bool = False, has_json_answers: bool = False
) -> AsyncIterator[Served]:
    """`is_old`: it knows nothing later than the handshake, as servers of before 2026 do."""
    served = Served(is_old=is_old)
    application = served.server.streamable_http_app(stateless_http=is_stateless, json_response=has_json_answers)
    listening = _listening_socket()
    served.url = f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    config = uvicorn.Config(
        _listener(application, served), log_level="critical", timeout_graceful_shutdown=1, ws="none", lifespan="on"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve([listening]))
    await wait_until(lambda: server.started)
    try:
        yield served
    finally:
        server.should_exit = True
        served.may_finish.set()
        await running
        listening.close()


def _listening_socket() -> socket.socket:
    """Marked as TCP: asyncio sends at once only on sockets of which it knows that, and waits 40 ms on others."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.bind(("127.0.0.1", 0))
    return listening


def _listener(application: Callable[..., Awaitable[None]], served: Served) -> Callable[..., Awaitable[None]]:
    """Notes each request before the application sees it."""

    async def listen(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        message = await receive()
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
        served.heard.append(Heard(scope["method"], _called(message.get("body", b"")), headers))
        if served.is_old and served.heard[-1].called == "server/discover":
            await _refuse(send)
            return
        waiting = [message]

        async def again() -> MutableMapping[str, Any]:
            return waiting.pop() if waiting else await receive()

        await application(scope, again, send)

    return listen


async def _refuse(send: Send) -> None:
    """As servers without sessions of that name did: in words that are no JSON-RPC."""
    await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Bad Request: Missing session ID"})


def _called(body: bytes) -> str | None:
    with contextlib.suppress(msgspec.DecodeError, AttributeError):
        method = msgspec.json.decode(body).get("method")
        return str(method) if method is not None else None
    return None
