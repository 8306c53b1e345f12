"""Listeners that must hear nothing, and name servers that lie."""

import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle

from aiohttp.abc import AbstractResolver, ResolveResult

from tests.integration.tools.receiver import Receiver, answering, receiver


class Canaries:
    """Listeners on the same port of 127.0.0.1 and, where there is IPv6, ::1."""

    def __init__(self, listeners: Sequence[Receiver]) -> None:
        self._listeners = listeners
        self.port = listeners[0].port

    @property
    def connections(self) -> int:
        return sum(listener.connections for listener in self._listeners)


@asynccontextmanager
async def listening_canaries() -> AsyncIterator[Canaries]:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(receiver(answering(200)))
        listeners = [first]
        if has_ipv6():
            listeners.append(await stack.enter_async_context(receiver(answering(200), host="::1", port=first.port)))
        yield Canaries(listeners)


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


class StubResolver(AbstractResolver):
    """Answers each query with the next set of addresses, over and over."""

    def __init__(self, *sets: Sequence[str]) -> None:
        self._sets = cycle(sets)
        self.queries = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.queries += 1
        return _results(host, port, family, next(self._sets))

    async def close(self) -> None:
        pass


class NamedResolver(StubResolver):
    """Knows the addresses of some names."""

    def __init__(self, addresses: Mapping[str, Sequence[str]]) -> None:
        super().__init__()
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.queries += 1
        return _results(host, port, family, self._addresses[host])


def _results(host: str, port: int, family: socket.AddressFamily, addresses: Sequence[str]) -> list[ResolveResult]:
    return [
        ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0) for address in addresses
    ]
