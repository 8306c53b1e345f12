"""MCP servers that hang, flood, die, redirect, refuse or lie; and those that may not be called at all."""

import asyncio
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.executor.tools.base import ToolFault
from services.executor.tools.breaker import FAILURES_IN_A_ROW
from services.executor.tools.mcp_call import McpCall
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import FORBIDDEN_MESSAGE
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.canaries import StubResolver, listening_canaries
from tests.integration.tools.receiver import Handler, Line, Received, answering, receiver
from tests.support.contexts import CONTEXT
from tests.support.forbidden import FORBIDDEN_HOSTS, spellings_of

STRICT = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")
MIB = 1024 * 1024
JSON = "Content-Type: application/json"
STREAM = "Content-Type: text/event-stream"

DISCOVERED = {
    "resultType": "complete",
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "ttlMs": 0,
    "cacheScope": "private",
}
LISTED = {
    "resultType": "complete",
    "tools": [{"name": "act", "inputSchema": {"type": "object"}}],
    "ttlMs": 0,
    "cacheScope": "private",
}

REFUSAL = {"code": -32602, "message": "No such city"}


@pytest.fixture
async def mcp() -> AsyncIterator[McpCall]:
    tool = McpCall(LOOPBACK)
    yield tool
    await tool.close()


async def fault_of(mcp: McpCall, url: str, **more: object) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await mcp.call({"url": url, "tool": "act", **more}, CONTEXT)
    return caught.value


def server_whose_tool(act: Handler, **results: object) -> Handler:
    """Meets the client properly; what it does with the call itself, the handler says."""
    known = {"server/discover": DISCOVERED, "tools/list": LISTED, **results}

    async def handle(request: Received, line: Line) -> None:
        message = msgspec.json.decode(request.body)
        if message["method"] not in known:
            await act(request, line)
            return
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": known[message["method"]]}
        await line.answer(200, JSON, body=msgspec.json.encode(answer))

    return handle


def said(result: object) -> Handler:
    """The answer to a call, as JSON-RPC."""

    async def handle(request: Received, line: Line) -> None:
        message = {"jsonrpc": "2.0", "id": msgspec.json.decode(request.body)["id"], **msgspec.to_builtins(result)}
        await line.answer(200, JSON, body=msgspec.json.encode(message))

    return handle


async def hang(_: Received, line: Line) -> None:
    await line.hung_up()


async def drip(_: Received, line: Line) -> None:
    await line.send(f"HTTP/1.1 200 OK\r\n{STREAM}\r\n\r\n".encode())
    while not await line.hangs_up_within(0.01):
        await line.send(b": alive\n\n")


async def flood(_: Received, line: Line) -> None:
    await line.send(f"HTTP/1.1 200 OK\r\n{STREAM}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        await line.send(b"10000\r\n" + b": alive\n\n".ljust(0x10000, b":") + b"\r\n")


async def flood_one_line(_: Received, line: Line) -> None:
    await line.send(f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        await line.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


async def die(_: Received, line: Line) -> None:
    line.reset()


async def die_in_the_middle(_: Received, line: Line) -> None:
    await line.send(f"HTTP/1.1 200 OK\r\n{STREAM}\r\nContent-Length: 1000\r\n\r\ndata: {{".encode())
    line.reset()


async def end_without_answer(_: Received, line: Line) -> None:
    await line.answer(200, STREAM, body=b": nothing to say\n\n")


@pytest.mark.parametrize("act", [hang, drip])
@pytest.mark.parametrize("is_met", [True, False], ids=["in the call", "at the first word"])
async def test_a_slow_server_is_cut_at_the_total_deadline(mcp: McpCall, act: Handler, *, is_met: bool) -> None:
    async with receiver(server_whose_tool(act) if is_met else act) as server:
        fault = await fault_of(mcp, server.url, timeout_seconds=0.3)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)
    assert "0.3 s" in fault.message


async def old_server_that_hangs_on(method: str, request: Received, line: Line) -> None:
    """With a session, whose end it does not answer either."""
    message = msgspec.json.decode(request.body) if request.body else {"method": request.method}
    match message["method"]:
        case name if name in (method, "DELETE"):
            await line.hung_up()
        case "initialize":
            result = {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "serverInfo": {"name": "old", "version": "1"},
            }
            body = msgspec.json.encode({"jsonrpc": "2.0", "id": message["id"], "result": result})
            await line.answer(200, JSON, "Mcp-Session-Id: a-session", body=body)
        case "tools/list":
            await line.answer(
                200, JSON, body=msgspec.json.encode({"jsonrpc": "2.0", "id": message["id"], "result": LISTED})
            )
        case name if name.startswith("notifications/"):
            await line.answer(202)
        case _:
            await line.answer(400)


@pytest.mark.parametrize("method", ["initialize", "notifications/initialized", "tools/list", "tools/call"])
async def test_cancelling_ends_within_a_second_wherever_the_server_hangs(mcp: McpCall, method: str) -> None:
    arrived, left = asyncio.Event(), asyncio.Event()

    async def handle(request: Received, line: Line) -> None:
        is_it = method.encode() in request.body
        if is_it:
            arrived.set()
        await old_server_that_hangs_on(method, request, line)
        if is_it:
            left.set()

    async with receiver(handle) as server:
        running = asyncio.create_task(mcp.call({"url": server.url, "tool": "act"}, CONTEXT))
        await asyncio.wait_for(arrived.wait(), 10)
        began = asyncio.get_running_loop().time()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await asyncio.wait_for(left.wait(), 1)
        assert asyncio.get_running_loop().time() - began < 1


async def test_an_answer_is_not_kept_waiting_by_the_end_of_its_session(mcp: McpCall) -> None:
    async def handle(request: Received, line: Line) -> None:
        if b"tools/call" in request.body:
            await said({"result": {"content": [{"type": "text", "text": "done"}]}})(request, line)
        else:
            await old_server_that_hangs_on("nothing", request, line)

    async with receiver(handle) as server:
        began = asyncio.get_running_loop().time()
        output = await mcp.call({"url": server.url, "tool": "act", "timeout_seconds": 5}, CONTEXT)
        assert asyncio.get_running_loop().time() - began < 2
        assert server.received[-1].method == "DELETE"
    assert output["text"] == "done"


async def test_a_session_that_was_forgotten_is_a_fault_to_retry(mcp: McpCall) -> None:
    async def handle(request: Received, line: Line) -> None:
        if b"tools/call" in request.body:
            await line.answer(404)
        else:
            await old_server_that_hangs_on("nothing", request, line)

    async with receiver(handle) as server:
        fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.HTTP_4XX, True)


async def test_after_a_fault_the_server_is_looked_at_anew(mcp: McpCall) -> None:
    async with receiver(server_whose_tool(said({"error": REFUSAL}))) as server:
        for _ in range(2):
            await fault_of(mcp, server.url)
    assert sum(b"tools/list" in received.body for received in server.received) == 2


@pytest.mark.parametrize("act", [flood, flood_one_line])
async def test_an_endless_answer_is_cut_at_the_cap_and_hung_up_on(mcp: McpCall, act: Handler) -> None:
    async with receiver(server_whose_tool(act)) as server:
        fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.message) == (ErrorClass.TOOL, "The server sent more than 2 MiB.")


async def test_a_gzip_bomb_is_not_unpacked(mcp: McpCall) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(32 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + block * 32 + b"\x03\0" + bytes(8)
    act = answering(200, JSON, "Content-Encoding: gzip", body=bomb)
    async with receiver(server_whose_tool(act)) as server:
        await fault_of(mcp, server.url)
        tracemalloc.start()
        try:
            fault = await fault_of(mcp, server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert fault.message == "The server sent more than 2 MiB."
    assert peak < 24 * MIB


@pytest.mark.parametrize("act", [die, die_in_the_middle, end_without_answer])
async def test_a_server_that_dies_in_the_middle_is_a_fault_to_retry(mcp: McpCall, act: Handler) -> None:
    async with receiver(server_whose_tool(act)) as server:
        fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)


async def test_a_server_that_is_not_there_is_a_fault_to_retry(mcp: McpCall) -> None:
    async with receiver(hang) as server:
        pass
    fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)
    assert "refused" in fault.message


async def test_a_name_that_does_not_resolve_is_a_fault_to_retry() -> None:
    mcp = McpCall(STRICT)
    fault = await fault_of(mcp, "http://no-such-name.invalid/mcp")
    await mcp.close()
    assert (fault.error_class, fault.retryable) == (ErrorClass.DNS, True)


async def test_a_certificate_that_nobody_vouches_for_is_final(mcp: McpCall) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    async with receiver(answering(200), tls=tls) as server:
        fault = await fault_of(mcp, server.url.replace("http:", "https:"))
    assert (fault.error_class, fault.retryable, server.received) == (ErrorClass.CONNECT, False, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("place", ["elsewhere", "/other"])
async def test_a_redirect_is_not_followed(mcp: McpCall, status: int, place: str) -> None:
    async with receiver(answering(200)) as canary:
        location = f"{canary.url}/mcp" if place == "elsewhere" else place
        redirecting = answering(status, f"Location: {location}")
        async with receiver(server_whose_tool(redirecting)) as server:
            fault = await fault_of(mcp, server.url)
            targets = [received.target for received in server.received]
        assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
        assert "redirects are not followed" in fault.message
        assert (canary.connections, targets) == (0, ["/"] * 3)


@pytest.mark.parametrize(
    ("status", "error_class", "retryable"),
    [
        (400, ErrorClass.HTTP_4XX, False),
        (401, ErrorClass.HTTP_4XX, False),
        (403, ErrorClass.HTTP_4XX, False),
        (404, ErrorClass.HTTP_4XX, False),
        (429, ErrorClass.HTTP_4XX, True),
        (500, ErrorClass.HTTP_5XX, True),
        (503, ErrorClass.HTTP_5XX, True),
    ],
)
@pytest.mark.parametrize("is_met", [True, False], ids=["in the call", "at the first word"])
async def test_a_status_means_what_it_means_to_http_request(
    mcp: McpCall, status: int, error_class: ErrorClass, *, retryable: bool, is_met: bool
) -> None:
    refusing = answering(status, "Retry-After: 7", body=b"not now")
    async with receiver(server_whose_tool(refusing) if is_met else refusing) as server:
        fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.retryable) == (error_class, retryable)
    assert fault.retry_after_seconds == (7.0 if retryable else None)
    assert isinstance(fault.output, dict)
    assert (fault.output["status"], fault.output["body"]) == (status, "not now")


@pytest.mark.parametrize(
    "act",
    [
        said({"error": REFUSAL}),
        *(
            answering(status, JSON, body=msgspec.json.encode({"jsonrpc": "2.0", "id": None, "error": REFUSAL}))
            for status in (400, 404)
        ),
    ],
)
async def test_an_error_of_the_protocol_is_final_and_told(mcp: McpCall, act: Handler) -> None:
    async with receiver(server_whose_tool(act)) as server:
        fault = await fault_of(mcp, server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message == "The server refused the call (-32602): No such city"


@pytest.mark.parametrize(
    "answer",
    [
        answering(200, JSON, body=b"no such thing"),
        answering(200, JSON, body=b"[" * 100_000),
        answering(200, "Content-Type: text/html", body=b"<p>hello"),
        answering(200),
        answering(204),
        said({"result": {"content": "no list"}}),
        said({"result": {"content": [{"type": "text"}]}}),
        said({"result": {"resultType": "input_required", "inputRequests": {}}}),
        said({"result": []}),
        said({}),
    ],
)
async def test_what_is_not_the_protocol_is_a_fault(mcp: McpCall, answer: Handler) -> None:
    async with receiver(server_whose_tool(answer)) as server:
        fault = await fault_of(mcp, server.url, timeout_seconds=5)
    assert fault.error_class in (ErrorClass.TOOL, ErrorClass.CONNECT)


async def test_what_cannot_be_stored_becomes_storable(mcp: McpCall) -> None:
    result = {
        "resultType": "complete",
        "content": [{"type": "text", "text": "a\0b"}],
        "structuredContent": {"deep": msgspec.json.decode(b"[" * 70 + b"]" * 70)},
    }
    async with receiver(server_whose_tool(said({"result": result}))) as server:
        output = await mcp.call({"url": server.url, "tool": "act"}, CONTEXT)
    assert (output["text"], output["structured"], output["truncated"]) == ("a\ufffdb", None, True)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"s": {"pattern": "(a+)+$"}}},
        {"patternProperties": {"(a+)+$": {}}, "additionalProperties": False},
        {"$ref": "#/$defs/0", "$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 2} for n in range(40)}},
        {"$ref": "http://127.0.0.1:1/schema"},
        {"$ref": "#"},
        {"properties": {"s": {"type": "no such type"}}},
        {"properties": 7, "required": 3},
    ],
)
async def test_a_schema_that_cannot_be_checked_in_time_is_left_to_the_server(mcp: McpCall, schema: object) -> None:
    tools = {**LISTED, "tools": [{"name": "act", "inputSchema": {"type": "object", **msgspec.to_builtins(schema)}}]}
    act = said({"result": {"resultType": "complete", "content": []}})
    async with receiver(server_whose_tool(act, **{"tools/list": tools})) as server:
        began = asyncio.get_running_loop().time()
        await mcp.call({"url": server.url, "tool": "act", "arguments": {"s": "a" * 50 + "b"}}, CONTEXT)
    assert asyncio.get_running_loop().time() - began < 2


async def test_no_spelling_of_a_forbidden_host_reaches_a_canary() -> None:
    mcp = McpCall(STRICT)
    async with listening_canaries() as canary:
        for host in dict.fromkeys((*spellings_of("127.0.0.1"), "[::1]", "localhost", *FORBIDDEN_HOSTS)):
            fault = await fault_of(mcp, f"http://{host}:{canary.port}/mcp")
            assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
            assert (fault.retryable, fault.output) == (False, None)
        assert canary.connections == 0
    await mcp.close()


@pytest.mark.parametrize(
    "answers", [["127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["127.1"], ["8.8.8.8", "127.0.0.1"]]
)
async def test_a_public_name_for_a_forbidden_address_is_refused(answers: list[str]) -> None:
    mcp = McpCall(STRICT, resolver=StubResolver(answers))
    async with listening_canaries() as canary:
        fault = await fault_of(mcp, f"http://innocent.example:{canary.port}/mcp")
        assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
        assert canary.connections == 0
    await mcp.close()


async def test_what_looks_like_a_template_is_checked_all_the_same() -> None:
    mcp = McpCall(STRICT)
    fault = await fault_of(mcp, "http://127.0.0.1:1/${x}")
    await mcp.close()
    assert fault.error_class is ErrorClass.FORBIDDEN_DESTINATION


async def test_proxies_of_the_environment_are_not_used(mcp: McpCall, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(answering(200)) as canary:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, canary.url)
        async with receiver(server_whose_tool(said({"result": {"resultType": "complete", "content": []}}))) as server:
            await mcp.call({"url": server.url, "tool": "act"}, CONTEXT)
        assert canary.connections == 0


async def test_cookies_of_one_call_are_unknown_to_the_next(mcp: McpCall) -> None:
    act = answering(503, "Set-Cookie: who=agent-3")
    async with receiver(server_whose_tool(act)) as server:
        for _ in range(2):
            await fault_of(mcp, server.url)
    assert not any("cookie" in received.headers for received in server.received)


async def test_a_server_that_keeps_silent_is_left_alone_for_a_while(mcp: McpCall) -> None:
    async with receiver(die) as server:
        for _ in range(FAILURES_IN_A_ROW):
            await fault_of(mcp, server.url)
        before = server.connections
        fault = await fault_of(mcp, server.url)
        assert (fault.error_class, fault.retryable, server.connections) == (ErrorClass.CONNECT, True, before)
    assert fault.retry_after_seconds is not None
