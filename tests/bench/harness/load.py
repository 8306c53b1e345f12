"""A client in a process of its own: sends the same requests again and again over connections that stay open."""

import asyncio
import sys
import time
from collections.abc import Iterator
from itertools import cycle
from typing import cast

import msgspec
import uvloop

from tests.bench.harness.processes import READY

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"
STATUS = slice(9, 12)


class Load(msgspec.Struct, frozen=True):
    """`per_second` 0: each connection sends its next request as soon as the last one is answered; otherwise requests
    leave at their times, whatever has become of those before, and their latency counts from then."""

    port: int
    requests: list[bytes]
    connections: int
    seconds: float
    per_second: float = 0.0


class Answered(msgspec.Struct, frozen=True):
    """`answers` were as wanted, and the latencies are theirs; `statuses` of everything."""

    seconds: float
    answers: int
    p50_ms: float
    p99_ms: float
    longest_ms: float
    statuses: dict[str, int]

    @property
    def per_second(self) -> float:
        return self.answers / self.seconds


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self._given = bytearray()
        self._waiting: asyncio.Future[bytes] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are of no common class

    def connection_lost(self, error: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error or ConnectionResetError("closed before the answer"))

    def data_received(self, data: bytes) -> None:
        self._given += data
        end = self._given.find(END_OF_HEAD)
        if end < 0:
            return
        head = bytes(self._given[:end]).lower()
        start = head.find(LENGTH)
        length = int(head[start + len(LENGTH) :].split(b"\r\n", 1)[0]) if start >= 0 else 0
        if len(self._given) >= end + len(END_OF_HEAD) + length and self._waiting is not None:
            self._waiting.set_result(head[STATUS])
            self._given.clear()

    async def ask(self, request: bytes) -> bytes:
        """The status of the answer."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting


class Client:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._next = cycle(load.requests)
        self._latencies_ms: list[float] = []
        self._statuses: dict[str, int] = {}

    async def run(self) -> Answered:
        loop = asyncio.get_running_loop()
        port, count = self._load.port, self._load.connections
        connections = [(await loop.create_connection(Connection, "127.0.0.1", port))[1] for _ in range(count)]
        began_at = time.perf_counter()
        times = self._times(began_at)
        await asyncio.gather(*[self._send(connection, times) for connection in connections])
        return self._told(time.perf_counter() - began_at)

    def _told(self, seconds: float) -> Answered:
        ordered = sorted(self._latencies_ms) or [0.0]
        p50_ms, p99_ms = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
        return Answered(seconds, len(self._latencies_ms), p50_ms, p99_ms, ordered[-1], self._statuses)

    def _times(self, began_at: float) -> Iterator[float]:
        """When each request is to leave."""
        ends_at = began_at + self._load.seconds
        if not self._load.per_second:
            while (now := time.perf_counter()) < ends_at:
                yield now
            return
        for number in range(int(self._load.seconds * self._load.per_second)):
            yield began_at + number / self._load.per_second

    async def _send(self, connection: Connection, times: Iterator[float]) -> None:
        for at in times:
            pause_seconds = at - time.perf_counter()
            if pause_seconds > 0:
                await asyncio.sleep(pause_seconds)
            status = (await connection.ask(next(self._next))).decode()
            self._statuses[status] = self._statuses.get(status, 0) + 1
            if status.startswith("2"):
                self._latencies_ms.append((time.perf_counter() - at) * 1000)


def main() -> None:
    load = msgspec.json.decode(sys.stdin.readline(), type=Load)
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()
    answer = uvloop.run(Client(load).run())
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
