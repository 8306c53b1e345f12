"""What no HTTP library would send, over a bare socket."""

import asyncio
import json
import re
from typing import Any

import pytest

from services.gateway.http import admission, protocol
from tests.integration.gateway.bench import Bench, Caller


async def _said(gateway: Bench, *pieces: bytes) -> tuple[int, dict[str, Any], bytes]:
    """Status, problem and headers of the first answer, once the server has closed the connection."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
        problem = json.loads(await reader.readexactly(length))
        if b"connection: close" in head.lower():
            assert await asyncio.wait_for(reader.read(), 10) == b""
    finally:
        writer.close()
    return int(head.split(b" ")[1]), problem, head.lower()


def _head(owner: Caller, line: str, *headers: str) -> bytes:
    given = ["Host: localhost", f"Authorization: Bearer {owner.token.text}", *headers]
    return f"{line} HTTP/1.1\r\n".encode() + "\r\n".join([*given, "", ""]).encode()


NOT_HTTP = [
    b"nonsense\r\n\r\n",
    b"FETCH /tasks HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /tasks HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n\r\n",
    b"GET /tasks HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET /tasks HTTP/1.1\r\nHost: x\r\nX : y\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.parametrize("text", NOT_HTTP, ids=[str(text[:30]) for text in NOT_HTTP])
async def test_what_is_not_http_or_could_be_read_in_two_ways_is_refused_and_cut_off(
    gateway: Bench, text: bytes
) -> None:
    status, problem, head = await _said(gateway, text)
    assert (status, problem["status"], problem["error_code"]) == (400, 400, "bad_request")
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    assert b"connection: close" in head


async def test_headers_without_an_end_are_refused_while_they_come(gateway: Bench) -> None:
    status, problem, _ = await _said(gateway, b"GET /tasks HTTP/1.1\r\nX: ", b"x" * (protocol.HEAD_BYTES + 1))
    assert (status, problem["error_code"]) == (431, "headers_too_large")


async def test_a_url_of_many_bytes_is_refused(gateway: Bench, owner: Caller) -> None:
    status, problem, _ = await _said(gateway, _head(owner, "GET /" + "x" * 30_000))
    assert (status, problem["error_code"]) == (414, "uri_too_long")


async def test_chunks_are_refused_as_soon_as_they_are_too_many(gateway: Bench, owner: Caller) -> None:
    head = _head(owner, "POST /tasks", "Content-Type: application/json", "Transfer-Encoding: chunked")
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    status, problem, _ = await _said(gateway, head, *[chunk] * 5)
    assert (status, problem["error_code"]) == (413, "payload_too_large")


async def test_a_body_that_does_not_come_is_not_waited_for(own_gateway: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    owner = await own_gateway.caller()
    head = _head(owner, "POST /tasks", "Content-Type: application/json", "Content-Length: 100")
    status, problem, told = await _said(own_gateway, head, b'{"title":')
    assert (status, problem["error_code"]) == (408, "request_timeout")
    assert b"connection: close" in told
    status, problem, _ = await _said(own_gateway, b"GET /tasks HTTP/1.1\r\nHost:")
    assert (status, problem["error_code"]) == (408, "request_timeout")


async def test_two_requests_in_one_piece_are_both_answered(gateway: Bench, owner: Caller) -> None:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(_head(owner, "GET /v1/health/live") + _head(owner, "GET /v1/nowhere", "Connection: close"))
    told = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", told) == [b"200", b"404"]


@pytest.mark.parametrize("method", ["HEAD", "PATCH", "TRACE", "DELETE", "PUT", "OPTIONS"])
async def test_a_method_that_a_route_has_not_is_told_which_it_has(gateway: Bench, owner: Caller, method: str) -> None:
    # An answer to HEAD has no body that could be compared with the document.
    anonymous = await gateway.client()
    owner.client.event_hooks = anonymous.event_hooks = {}
    answer = await owner.client.request(method, "/tasks")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    one = await owner.client.request(method if method != "PUT" else "POST", f"/tasks/{owner.agent_id}")
    assert (one.status_code, {"GET", "PUT"} <= {*one.headers["allow"].split(", ")}) == (405, True)
    assert (await anonymous.request(method, "/tasks")).status_code == 401


JUNK = [
    "/%",
    "/%zz",
    "/tasks/%ff%fe",
    "/tasks%2f..%2fagents",
    "/..%2f..%2fetc%2fpasswd",
    "/./tasks",
    "/tasks/../agents",
]


@pytest.mark.parametrize("path", [*JUNK, "//", "/tasks//", "/v1//v1", "/%00", "/tasks/%0d%0aX:%20y", "/v1/v1/tasks"])
async def test_junk_in_a_path_names_nothing(gateway: Bench, owner: Caller, path: str) -> None:
    status, problem, head = await _said(gateway, _head(owner, f"GET {path}"))
    assert (status, problem["error_code"]) == (404, "not_found")
    assert b"\r\nx: y" not in head
