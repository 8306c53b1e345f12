"""Real servers on the loopback interface that behave well, badly, or only count who comes."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress

import msgspec

CLOSING = "Connection: close"


class Received(msgspec.Struct, frozen=True):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Line:
    """What a handler writes its answer to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self, status: int, *headers: str, body: bytes = b"") -> None:
        head = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
        await self.send("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    async def hung_up(self) -> None:
        """Returns when the client has gone."""
        with suppress(ConnectionError):
            await self._reader.read()

    async def hangs_up_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hung_up()
                return True
        return False

    def reset(self) -> None:
        self._writer.transport.abort()


Handler = Callable[[Received, Line], Awaitable[None]]


class Receiver:
    """Keeps what it was sent; `connections` counts those who connected, with or without a request."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open: set[asyncio.StreamWriter] = set()
        self._idle = asyncio.Event()
        self.received: list[Received] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def all_gone(self) -> None:
        """Returns when no connection is open any more."""
        await self._idle.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open.add(writer)
        self._idle.clear()
        try:
            await self._converse(reader, Line(reader, writer))
        finally:
            writer.close()
            self._open.discard(writer)
            if not self._open:
                self._idle.set()

    async def _converse(self, reader: asyncio.StreamReader, line: Line) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                request = await _read_request(reader)
                self.received.append(request)
                await self._handler(request, line)

    def drop_all(self) -> None:
        for writer in self._open:
            writer.transport.abort()


@asynccontextmanager
async def receiver(
    handler: Handler, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A server for the length of the block; every connection is gone when it ends."""
    serving = Receiver(handler)
    server = await asyncio.start_server(serving.serve, host, port, ssl=tls)
    serving.port = server.sockets[0].getsockname()[1]
    try:
        yield serving
    finally:
        server.close()
        serving.drop_all()
        if serving.connections:
            await serving.all_gone()
        await server.wait_closed()


def answering(status: int, *headers: str, body: bytes = b"") -> Handler:
    """A handler that gives the same answer to all."""

    async def handle(_: Received, line: Line) -> None:
        await line.answer(status, *headers, body=body)

    return handle


@contextmanager
def full_queue() -> Iterator[int]:
    """The port of a listener that accepts nobody, and has no place left for those who wait."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.2)
            try:
                waiting.connect(listener.getsockname())
            except TimeoutError:
                break
        yield listener.getsockname()[1]


async def _read_request(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *rest = head.split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)
