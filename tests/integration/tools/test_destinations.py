"""No spelling, answer of a name server, or redirect leads to an address that the policy refuses."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import cycle

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from services.executor.tools import connector
from services.executor.tools.connector import SystemResolver, new_session
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import FORBIDDEN_MESSAGE
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import CONTEXT, fault_of
from tests.integration.tools.receiver import Receiver, answering, receiver
from tests.unit.outbound.spellings import FORBIDDEN_HOSTS, spellings_of

STRICT = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")
LOOPBACK_V4 = AddressPolicy.parse("127.0.0.0/8")
TO_CANARY = (
    *spellings_of("127.0.0.1"),
    *spellings_of("0.0.0.0"),  # noqa: S104 - Linux connects it to loopback
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "localhost", "LOCALHOST.", "a.localhost"),
)


class StubResolver(AbstractResolver):
    """Answers each query with the next set of addresses, over and over."""

    def __init__(self, *sets: Sequence[str]) -> None:
        self._sets = cycle(sets)
        self.queries = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.queries += 1
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in next(self._sets)
        ]

    async def close(self) -> None:
        pass


class Canaries:
    """Listeners on the same port of 127.0.0.1 and, where there is IPv6, ::1."""

    def __init__(self, listeners: Sequence[Receiver]) -> None:
        self._listeners = listeners
        self.port = listeners[0].port

    @property
    def connections(self) -> int:
        return sum(listener.connections for listener in self._listeners)


@pytest.fixture
async def canaries() -> AsyncIterator[Canaries]:
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


async def test_the_canary_sings_when_loopback_is_allowed(canaries: Canaries, tool: HttpRequest) -> None:
    hosts = ["127.0.0.1", "[::ffff:127.0.0.1]", *(["[::1]"] if has_ipv6() else [])]
    for host in hosts:
        await tool.call({"url": f"http://{host}:{canaries.port}/"}, CONTEXT)
    assert canaries.connections == len(hosts)


async def test_no_spelling_of_a_forbidden_host_reaches_a_canary(canaries: Canaries, strict_tool: HttpRequest) -> None:
    for host in dict.fromkeys((*TO_CANARY, *FORBIDDEN_HOSTS)):
        fault = await fault_of(strict_tool, {"url": f"http://{host}:{canaries.port}/"})
        assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
        assert (fault.retryable, fault.output) == (False, None)
    assert canaries.connections == 0


async def test_without_the_check_of_the_text_the_connection_is_refused_all_the_same(
    canaries: Canaries,
) -> None:
    resolver = SystemResolver()
    async with new_session(STRICT, resolver) as session:
        for host in dict.fromkeys((*TO_CANARY, *FORBIDDEN_HOSTS)):
            with pytest.raises((aiohttp.ClientError, ValueError)):
                await session.get(f"http://{host}:{canaries.port}/")
    await resolver.close()
    assert canaries.connections == 0


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["::1"], ["127.0.0.1", "::1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["127.1"], ["localhost"]],
)
async def test_a_public_name_for_a_forbidden_address_is_refused(canaries: Canaries, answers: list[str]) -> None:
    tool = HttpRequest(STRICT, resolver=StubResolver(answers))
    fault = await fault_of(tool, {"url": f"http://innocent.example:{canaries.port}/"})
    await tool.close()
    assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
    assert canaries.connections == 0


@pytest.mark.parametrize("answers", [["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"], ["::1", "127.0.0.1"]])
async def test_one_forbidden_answer_among_permitted_ones_is_enough(canaries: Canaries, answers: list[str]) -> None:
    tool = HttpRequest(LOOPBACK_V4, resolver=StubResolver(answers))
    fault = await fault_of(tool, {"url": f"http://mixed.example:{canaries.port}/"})
    await tool.close()
    assert fault.error_class is ErrorClass.FORBIDDEN_DESTINATION
    assert canaries.connections == 0


async def test_a_name_that_changes_its_mind_is_asked_once_per_connection(canaries: Canaries) -> None:
    resolver = StubResolver(["127.0.0.1"], ["10.0.0.1"])
    tool = HttpRequest(LOOPBACK_V4, resolver=resolver)
    for _ in range(5):
        await tool.call({"url": f"http://rebinding.example:{canaries.port}/"}, CONTEXT)
    await tool.close()
    assert (resolver.queries, canaries.connections) == (1, 1)


async def test_every_new_answer_of_a_rebinding_name_is_checked(canaries: Canaries) -> None:
    resolver = StubResolver(["127.0.0.1"], ["::1"])
    for turn in range(6):
        tool = HttpRequest(LOOPBACK_V4, resolver=resolver)
        arguments = {"url": f"http://rebinding.example:{canaries.port}/"}
        if turn % 2 == 0:
            await tool.call(arguments, CONTEXT)
        else:
            assert (await fault_of(tool, arguments)).error_class is ErrorClass.FORBIDDEN_DESTINATION
        await tool.close()
    assert canaries.connections == 3


async def test_the_name_is_kept_for_the_receiver_though_the_address_is_called() -> None:
    tool = HttpRequest(LOOPBACK, resolver=StubResolver(["127.0.0.1"]))
    async with receiver(answering(200)) as server:
        await tool.call({"url": f"http://named.example:{server.port}/"}, CONTEXT)
        await tool.close()
    assert server.received[0].headers["host"] == f"named.example:{server.port}"


async def test_a_dead_address_does_not_hide_a_live_one() -> None:
    tool = HttpRequest(LOOPBACK, resolver=StubResolver(["127.9.9.9", "127.0.0.1"]))
    async with receiver(answering(200)) as server:
        await tool.call({"url": f"http://two.example:{server.port}/"}, CONTEXT)
        await tool.close()
    assert len(server.received) == 1


async def test_a_name_that_does_not_resolve_is_a_fault_to_retry(strict_tool: HttpRequest) -> None:
    fault = await fault_of(strict_tool, {"url": "http://no-such-name.invalid/"})
    assert (fault.error_class, fault.retryable) == (ErrorClass.DNS, True)


@pytest.fixture
def silent_name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Look-ups hang until the test is over."""
    released = threading.Event()

    def look_up(*_: object) -> list[ResolveResult]:
        released.wait()
        return []

    monkeypatch.setattr(connector, "_look_up", look_up)
    yield
    released.set()


@pytest.mark.usefixtures("silent_name_server")
async def test_a_silent_name_server_is_given_up(strict_tool: HttpRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "LOOKUP_SECONDS", 0.05)
    fault = await fault_of(strict_tool, {"url": "http://slow.example/"})
    assert (fault.error_class, fault.retryable) == (ErrorClass.DNS, True)


@pytest.mark.usefixtures("silent_name_server")
async def test_the_deadline_covers_the_look_up(strict_tool: HttpRequest) -> None:
    fault = await fault_of(strict_tool, {"url": "http://slow.example/", "timeout_seconds": 0.05})
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)


async def test_refusals_at_the_same_moment_are_all_refusals(canaries: Canaries) -> None:
    tool = HttpRequest(STRICT, resolver=StubResolver(["127.0.0.1"]))
    url = f"http://innocent.example:{canaries.port}/"
    faults = await asyncio.gather(*(fault_of(tool, {"url": url}) for _ in range(20)))
    await tool.close()
    assert {fault.error_class for fault in faults} == {ErrorClass.FORBIDDEN_DESTINATION}
    assert canaries.connections == 0
