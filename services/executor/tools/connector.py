"""HTTP sessions whose connections go only where the policy permits."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey

from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import FORBIDDEN_MESSAGE

CONNECT_SECONDS = 5.0
LOOKUP_SECONDS = 5.0
LOOKUP_THREADS = 32
DNS_CACHE_SECONDS = 10
# Below the 5 s of uvicorn and Node: a POST on a connection that the receiver is just closing fails.
KEEPALIVE_SECONDS = 4.0
CONNECTIONS_PER_HOST = 100
CONNECTIONS = 256
USER_AGENT = "personal-agent-orchestrator"


class DestinationForbiddenError(OSError):
    """An OSError, because the connector's race between addresses swallows every other kind."""

    def __init__(self) -> None:
        super().__init__(FORBIDDEN_MESSAGE)


class SystemResolver(AbstractResolver):
    """getaddrinfo in threads of its own: the loop has a handful for everything, and one slow name server
    would hold them all."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUP_THREADS, thread_name_prefix="lookup")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                answers = await loop.run_in_executor(self._threads, _look_up, host, port, family)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, "the name server did not answer in time") from None
        return answers

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class CheckedResolver(AbstractResolver):
    """Refuses a name when any of its addresses is forbidden: the next try could pick that one."""

    def __init__(self, inner: AbstractResolver, policy: AddressPolicy) -> None:
        self._inner = inner
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        answers = await self._inner.resolve(host, port, family)
        for answer in answers:
            require_permitted(answer["host"], self._policy)
        return answers

    async def close(self) -> None:
        await self._inner.close()


def require_permitted(address: str, policy: AddressPolicy) -> None:
    """Raises DestinationForbiddenError; what is not an address in its usual form is not permitted either."""
    try:
        is_permitted = policy.permits(ip_address(address))
    except ValueError:
        is_permitted = False
    if not is_permitted:
        raise DestinationForbiddenError


class _Connector(aiohttp.TCPConnector):
    """Lets go at once. To close a transport is to send first what it still holds, for as long as that takes: a receiver
    that does not read would keep memory and a socket of every call that was given up, and get what was taken back."""

    def _release(self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False) -> None:
        transport = protocol.transport
        is_ending = should_close or protocol.should_close
        if is_ending and transport is not None and transport.get_write_buffer_size() > 0:
            protocol.abort()
        super()._release(key, protocol, should_close=is_ending)


def new_session(
    policy: AddressPolicy, resolver: AbstractResolver, *, connections: int = CONNECTIONS
) -> aiohttp.ClientSession:
    """Must be called inside the event loop. Neither proxies, nor netrc, nor cookies."""

    def checked_socket(addr_info: aiohttp.AddrInfoType) -> socket.socket:
        # Every connection passes here, also those to literal addresses, which skip the resolver.
        family, kind, protocol, _, address = addr_info
        require_permitted(str(address[0]), policy)
        return socket.socket(family, kind, protocol)

    connector = _Connector(
        resolver=CheckedResolver(resolver, policy),
        socket_factory=checked_socket,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        limit=connections,
        limit_per_host=CONNECTIONS_PER_HOST,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        # only what zlib can undo piece by piece
        headers={"User-Agent": USER_AGENT, "Accept-Encoding": "gzip, deflate"},
        skip_auto_headers=("Content-Type",),
    )


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=0)
        for kind, _, protocol, _, address in found
    ]
