"""Receivers that hang, drip, flood, lie or vanish cost one slot for a bounded time and bounded memory."""

import asyncio
import socket
import ssl
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from services.executor.tools import connector, outgoing
from services.executor.tools.http_request import HttpRequest
from shared.vocabulary.limits import RESPONSE_BODY_BYTES
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import Line, Received, answering, full_queue, receiver
from tests.support.contexts import CONTEXT

MIB = 1024 * 1024
SOON = 0.2


async def hang(_: Received, line: Line) -> None:
    await line.hung_up()


async def drip_body(_: Received, line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not await line.hangs_up_within(0.01):
        await line.send(b"x")


async def drip_a_byte_each_second(_: Received, line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx")
    while not await line.hangs_up_within(1):
        await line.send(b"x")


async def drip_headers(_: Received, line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not await line.hangs_up_within(0.01):
        await line.send(b"x")


@pytest.mark.parametrize("handler", [hang, drip_body, drip_headers])
async def test_a_slow_receiver_is_cut_at_the_total_deadline(fail: Fail, handler: object) -> None:
    async with receiver(handler) as server:  # type: ignore[arg-type] # parametrize knows no types
        fault = await fail(server.url, timeout_seconds=SOON)
        await server.all_gone()
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)
    assert "0.2 s" in fault.message
    assert len(server.received) == 1


async def test_a_byte_each_second_does_not_keep_a_call_alive(fail: Fail) -> None:
    async with receiver(drip_a_byte_each_second) as server:
        fault = await fail(server.url, timeout_seconds=1.5)
        await server.all_gone()
    assert (fault.error_class, fault.retryable, fault.output) == (ErrorClass.TIMEOUT, True, None)


async def test_a_receiver_whose_queue_is_full_is_cut_at_the_deadline(fail: Fail) -> None:
    with full_queue() as port:
        fault = await fail(f"http://127.0.0.1:{port}/", timeout_seconds=SOON)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)


async def test_no_connection_within_five_seconds_is_told_apart(fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "CONNECT_SECONDS", SOON)
    with full_queue() as port:
        fault = await fail(f"http://127.0.0.1:{port}/")
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)
    assert "accepted no connection" in fault.message


async def test_a_receiver_that_never_speaks_tls_is_cut_at_the_deadline(fail: Fail) -> None:
    # the handshake of TLS is the server's turn, and this server waits for the client's next word
    async with receiver(hang) as server:
        fault = await fail(server.url.replace("http:", "https:"), timeout_seconds=SOON)
        await server.all_gone()
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)


async def test_cancelling_a_call_hangs_up_at_once(tool: HttpRequest) -> None:
    arrived = asyncio.Event()

    async def handle(_: Received, line: Line) -> None:
        arrived.set()
        await line.hung_up()

    async with receiver(handle) as server:
        running = asyncio.create_task(tool.call({"url": server.url}, CONTEXT))
        await arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await server.all_gone()
    assert len(server.received) == 1


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_cancelling_a_call_that_is_still_sending_sends_nothing_more(
    tool: HttpRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    # more than the buffers of the kernel take at once
    length = 64 * MIB
    monkeypatch.setattr(outgoing, "MAX_REQUEST_BYTES", length)
    arrived, may_read, has_read, got = asyncio.Event(), asyncio.Event(), asyncio.Event(), bytearray()

    async def read_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.readuntil(b"\r\n\r\n"))
        arrived.set()
        await may_read.wait()
        with suppress(ConnectionError):
            while piece := await reader.read(65_536):
                got.extend(piece)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        has_read.set()

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    async with await asyncio.start_server(read_slowly, sock=listener, limit=1024):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        running = asyncio.create_task(tool.call({"url": url, "body": "x" * length}, CONTEXT))
        await arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        may_read.set()
        await has_read.wait()
    assert len(got) < length


async def test_cancelling_between_two_redirects_calls_nobody_else(tool: HttpRequest) -> None:
    arrived = asyncio.Event()

    async def redirect_slowly(_: Received, line: Line) -> None:
        arrived.set()
        await line.send(b"HTTP/1.1 307 X\r\nLocation: /next\r\nContent-Length: 1\r\n\r\n")
        await line.hung_up()

    async with receiver(redirect_slowly) as server:
        running = asyncio.create_task(tool.call({"url": server.url, "follow_redirects": 3}, CONTEXT))
        await arrived.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await server.all_gone()
    assert [request.target for request in server.received] == ["/"]


@pytest.mark.parametrize(
    ("head", "chunk_head", "chunk_end"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n", b"\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n280000000\r\n", b"", b""),  # 10 GiB in one chunk
        (b"Content-Length: 10737418240\r\n\r\n", b"", b""),
        (b"\r\n", b"", b""),  # until the connection ends
    ],
)
async def test_an_endless_answer_is_cut_at_the_cap_and_hung_up_on(
    call: Call, head: bytes, chunk_head: bytes, chunk_end: bytes
) -> None:
    async def flood(_: Received, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\n" + head)
        while True:
            await line.send(chunk_head + b"x" * 0x10000 + chunk_end)

    async with receiver(flood) as server:
        output = await call(server.url)
        await server.all_gone()
    assert output["body"] == "x" * RESPONSE_BODY_BYTES
    assert output["truncated"] is True


@pytest.mark.parametrize(("length", "truncated"), [(RESPONSE_BODY_BYTES, False), (RESPONSE_BODY_BYTES + 1, True)])
async def test_the_cap_counts_to_the_byte(call: Call, length: int, *, truncated: bool) -> None:
    async with receiver(answering(200, body=b"x" * length)) as server:
        output = await call(server.url)
    assert len(str(output["body"])) == RESPONSE_BODY_BYTES
    assert output["truncated"] is truncated


async def test_text_that_grows_when_decoded_is_capped_as_it_is_stored(call: Call) -> None:
    async with receiver(answering(200, body=b"\xff" * RESPONSE_BODY_BYTES)) as server:
        output = await call(server.url)
    assert RESPONSE_BODY_BYTES - 3 < len(str(output["body"]).encode()) <= RESPONSE_BODY_BYTES
    assert output["truncated"] is True


async def test_a_character_cut_by_the_cap_leaves_no_debris(call: Call) -> None:
    async with receiver(answering(200, body=b"a" + "\U0001f600".encode() * RESPONSE_BODY_BYTES)) as server:
        assert set(str((await call(server.url))["body"])) == {"a", "\U0001f600"}


def gibibyte_of_zeros(encoding: str) -> bytes:
    """One stream; after a full flush, deflate blocks may be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(32 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\x03" if encoding == "gzip" else b"\x78\xda"
    return head + block * 32 + b"\x03\0" + bytes(8)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_compressed_bomb_is_not_unpacked(call: Call, encoding: str) -> None:
    bomb = gibibyte_of_zeros(encoding)
    async with receiver(answering(200, f"Content-Encoding: {encoding}", body=bomb)) as server:
        tracemalloc.start()
        try:
            output = await call(server.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert output["truncated"] is True
    assert peak < 16 * MIB


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_an_answer_that_cannot_be_decoded_is_a_fault(fail: Fail, encoding: str) -> None:
    async with receiver(answering(200, f"Content-Encoding: {encoding}", body=b"no such thing")) as server:
        fault = await fail(server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 twohundred OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"A: x\r\n" * 10_000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nConte",
        b"",
    ],
)
async def test_an_answer_that_is_not_http_or_breaks_off_is_a_fault_to_retry(fail: Fail, answer: bytes) -> None:
    async def handle(_: Received, line: Line) -> None:
        await line.send(answer)
        line.reset() if not answer else None
        raise ConnectionError

    async with receiver(handle) as server:
        fault = await fail(server.url, method="POST")
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)


async def test_a_refused_connection_is_a_fault_to_retry(fail: Fail) -> None:
    async with receiver(answering(200)) as server:
        pass
    fault = await fail(server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)
    assert "refused" in fault.message


async def test_a_certificate_that_nobody_vouches_for_is_final(fail: Fail) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(Path(__file__).with_name("self_signed.pem"))
    async with receiver(answering(200), tls=tls) as server:
        fault = await fail(server.url.replace("http:", "https:"))
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, False)
    assert "certificate" in fault.message
    assert server.received == []


async def test_speaking_tls_to_a_plain_receiver_is_a_fault_to_retry(fail: Fail) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server:
        fault = await fail(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)
