"""Receivers that hang, drip, flood, lie or vanish cost one slot for a bounded time and bounded memory."""

import asyncio
import ssl
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import pytest

from services.executor.tools.http_request import HttpRequest
from shared.vocabulary.limits import RESPONSE_BODY_BYTES
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import CONTEXT, Call, Fail
from tests.integration.tools.receiver import Line, Received, answering, receiver

MIB = 1024 * 1024
SOON = 0.2


async def hang(_: Received, line: Line) -> None:
    await line.hung_up()


async def drip_body(_: Received, line: Line) -> None:
    await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not await line.hangs_up_within(0.01):
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


async def test_a_receiver_that_never_accepts_is_cut_at_the_deadline(fail: Fail) -> None:
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


async def test_an_endless_answer_is_cut_at_the_cap_and_hung_up_on(call: Call) -> None:
    async def flood(_: Received, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await line.send(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

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


def gibibyte_of_zeros() -> bytes:
    """One gzip member; after a full flush, deflate blocks may be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(32 * MIB)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + block * 32 + b"\x03\0" + bytes(8)


async def test_a_gzip_bomb_is_not_unpacked(call: Call) -> None:
    bomb = gibibyte_of_zeros()
    async with receiver(answering(200, "Content-Encoding: gzip", body=bomb)) as server:
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
