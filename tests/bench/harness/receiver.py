"""A receiver in a process of its own, as lean as Python can be: it answers whatever comes. `/hang` never answers."""

import asyncio
import sys
from typing import cast

import msgspec
import uvloop

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
LENGTH = b"content-length:"
END_OF_HEAD = b"\r\n\r\n"


class Place(msgspec.Struct, frozen=True):
    """Nothing is asked of it before it begins."""


class Listening(msgspec.Struct, frozen=True):
    port: int


class Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._given = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no common class

    def data_received(self, data: bytes) -> None:
        self._given += data
        while (request := self._next()) is not None:
            if not request.startswith(b"GET /hang") and self._transport is not None:
                self._transport.write(ANSWER)

    def _next(self) -> bytes | None:
        head, mark, rest = self._given.partition(END_OF_HEAD)
        if not mark:
            return None
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if len(rest) < length:
            return None
        self._given = rest[length:]
        return head


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=4096)
    sys.stdin.readline()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.readline)
    sys.stdout.buffer.write(msgspec.json.encode(Listening(server.sockets[0].getsockname()[1])) + b"\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
