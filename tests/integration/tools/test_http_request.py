"""What the receiver gets, and what the run records of its answer."""

import asyncio
import gzip
import zlib

import msgspec
import pytest

from services.executor.tools.http_request import HttpRequest
from services.executor.tools.outgoing import MAX_REQUEST_BYTES
from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import CLOSING, Line, Received, answering, receiver
from tests.support.contexts import CONTEXT

JSON = "Content-Type: application/json"


async def test_the_receiver_gets_the_request_with_key_and_trace(call: Call) -> None:
    async with receiver(answering(200)) as server:
        await call(f"{server.url}/a?b=c", json={"n": 1}, headers={"Authorization": "Bearer x"})
    (request,) = server.received
    assert (request.method, request.target) == ("POST", "/a?b=c")
    assert msgspec.json.decode(request.body) == {"n": 1}
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["authorization"] == "Bearer x"
    assert request.headers["idempotency-key"] == CONTEXT.idempotency_key
    assert request.headers["traceparent"] == CONTEXT.traceparent
    assert request.headers["user-agent"] == "personal-agent-orchestrator"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_works_without_a_body(call: Call, method: str) -> None:
    async with receiver(answering(204)) as server:
        output = await call(server.url, method=method)
    assert server.received[0].method == method
    assert "content-type" not in server.received[0].headers
    assert output["status"] == 204


async def test_a_text_body_and_its_content_type_are_sent_as_given(call: Call) -> None:
    async with receiver(answering(200)) as server:
        await call(server.url, body="<a>\u00e9</a>", headers={"content-type": "application/xml"})
        await call(server.url, body="plain", method="PUT")
        await call(server.url, json=None)
    first, second, third = server.received
    assert (first.body, first.headers["content-type"]) == ("<a>\u00e9</a>".encode(), "application/xml")
    assert (second.body, second.headers["content-type"]) == (b"plain", "text/plain; charset=utf-8")
    assert (third.method, third.body) == ("POST", b"null")


async def test_a_json_answer_is_kept_as_text_and_as_a_value(call: Call) -> None:
    async with receiver(answering(201, JSON, "X-Two: a", "X-Two: b", body=b'{"id": [1, null]}')) as server:
        output = await call(server.url)
    assert output["status"] == 201
    assert output["body"] == '{"id": [1, null]}'
    assert output["json"] == {"id": [1, None]}
    assert output["truncated"] is False
    assert msgspec.convert(output["headers"], dict[str, str])["x-two"] == "a, b"


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'"\\ud800"', b"[" * 65 + b"]" * 65, b"[" * 50_000, b"\xff"])
async def test_an_answer_that_only_claims_to_be_json_is_text(call: Call, body: bytes) -> None:
    async with receiver(answering(200, JSON, body=body)) as server:
        output = await call(server.url)
    assert "json" not in output
    assert output["status"] == 200


async def test_nul_is_replaced_everywhere_since_postgres_refuses_it(call: Call) -> None:
    async with receiver(answering(200, JSON, body=b'{"a\\u0000": "b\\u0000"}')) as server:
        output = await call(server.url)
    assert output["json"] == {"a\ufffd": "b\ufffd"}
    async with receiver(answering(200, body=b"a\0b")) as server:
        assert (await call(server.url))["body"] == "a\ufffdb"


async def test_bytes_in_a_header_that_are_no_text_are_replaced(call: Call) -> None:
    async def handle(_: Received, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nX-Odd: a\xff\xfeb\r\nContent-Length: 0\r\n\r\n")

    async with receiver(handle) as server:
        output = await call(server.url)
    msgspec.json.encode(output).decode()
    assert msgspec.convert(output["headers"], dict[str, str])["x-odd"] == "a??b"


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("utf-8", "\u00e9\u2615".encode(), "\u00e9\u2615"),
        ("ISO-8859-1", b"\xe9", "\u00e9"),
        ("windows-1251", b"\xc0", "\u0410"),
        ("utf-16", "\u00e9".encode("utf-16"), "\u00e9"),
        ("utf-16le", b"\x00\xd8", "\ufffd"),
        ("utf-16", b"no mark", "no mark"),
        ("utf-8", b"a\xffb\xed\xa0\x80", "a\ufffdb\ufffd\ufffd\ufffd"),
        ("no-such-charset", "\u00e9".encode(), "\u00e9"),
        ("punycode", b"abc", "abc"),
        ("zlib", b"abc", "abc"),
        ("unicode_escape", b"\\u0000", "\\u0000"),
        ("../../x", b"abc", "abc"),
    ],
)
async def test_text_is_decoded_by_its_charset_or_as_utf_8(call: Call, charset: str, body: bytes, text: str) -> None:
    async with receiver(answering(200, f"Content-Type: text/plain; charset={charset}", body=body)) as server:
        assert (await call(server.url))["body"] == text


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_answer_is_decoded(call: Call, encoding: str) -> None:
    data = gzip.compress(b"hello") if encoding == "gzip" else zlib.compress(b"hello")
    async with receiver(answering(200, f"Content-Encoding: {encoding}", body=data)) as server:
        assert (await call(server.url))["body"] == "hello"


async def test_a_chunked_answer_is_put_together(call: Call) -> None:
    async def handle(_: Received, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")

    async with receiver(handle) as server:
        assert (await call(server.url))["body"] == "abc"


async def test_a_connection_is_used_again(call: Call) -> None:
    async with receiver(answering(200, body=b"x")) as server:
        for _ in range(5):
            await call(server.url)
    assert (len(server.received), server.connections) == (5, 1)


async def test_cookies_are_not_kept_between_calls(call: Call) -> None:
    async with receiver(answering(200, "Set-Cookie: a=b; Path=/")) as server:
        await call(server.url)
        await call(server.url)
    assert all("cookie" not in request.headers for request in server.received)


async def test_the_environment_sets_no_proxy(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiver(answering(200)) as server, receiver(answering(200)) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await call(server.url)
    assert (len(server.received), proxy.connections) == (1, 0)


async def test_what_a_template_put_into_a_header_is_checked_before_sending(fail: Fail) -> None:
    async with receiver(answering(200)) as server:
        for headers in ({"X-Bad": "a\r\nX-Evil: 1"}, {"Host": "evil"}, {"webhook-signature": "v1,x"}):
            fault = await fail(server.url, headers=headers)
            assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
            assert fault.message.startswith("with.headers.")
    assert server.connections == 0


async def test_a_body_that_cannot_be_sent_is_the_tools_fault(fail: Fail) -> None:
    async with receiver(answering(200)) as server:
        for arguments in (
            {"json": "\ud800"},
            {"json": {1, object()}},
            {"body": "a" * (MAX_REQUEST_BYTES + 1)},
        ):
            fault = await fail(server.url, **arguments)
            assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert server.connections == 0


async def test_many_calls_at_once_wait_for_their_turn() -> None:
    tool = HttpRequest(AddressPolicy.parse("127.0.0.0/8"), connections=4)
    async with receiver(answering(200)) as server:
        outputs = await asyncio.gather(*(tool.call({"url": server.url}, CONTEXT) for _ in range(40)))
        await tool.close()
    assert {output["status"] for output in outputs if isinstance(output, dict)} == {200}
    assert server.connections <= 4


async def test_closing_twice_is_harmless(tool: HttpRequest) -> None:
    async with receiver(answering(200, CLOSING)) as server:
        await tool.call({"url": server.url}, CONTEXT)
    await tool.close()
    await tool.close()
