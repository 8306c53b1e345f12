"""No spelling, answer of a name server, or redirect leads to an address that the policy refuses."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from aiohttp.abc import ResolveResult

from services.executor.tools import connector
from services.executor.tools.connector import SystemResolver, new_session
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import FORBIDDEN_MESSAGE
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.canaries import (
    Canaries,
    NamedResolver,
    StubResolver,
    has_ipv6,
    listening_canaries,
)
from tests.integration.tools.conftest import fault_of
from tests.integration.tools.receiver import Line, Received, answering, receiver
from tests.support.contexts import CONTEXT
from tests.support.forbidden import FORBIDDEN_HOSTS, spellings_of

STRICT = AddressPolicy()
LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")
LOOPBACK_V4 = AddressPolicy.parse("127.0.0.0/8")
TO_CANARY = (
    *spellings_of("127.0.0.1"),
    *spellings_of("0.0.0.0"),  # noqa: S104 - Linux connects it to loopback
    *("[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::1%25lo]", "localhost", "LOCALHOST.", "a.localhost"),
)


@pytest.fixture
async def canaries() -> AsyncIterator[Canaries]:
    async with listening_canaries() as listening:
        yield listening


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


def test_there_are_enough_spellings_to_mean_something() -> None:
    assert len({*TO_CANARY, *FORBIDDEN_HOSTS}) >= 150


async def test_no_redirect_to_a_forbidden_host_reaches_a_canary(canaries: Canaries) -> None:
    tool = HttpRequest(AddressPolicy.parse("127.0.0.2/32"))
    places = iter(dict.fromkeys((*TO_CANARY, *FORBIDDEN_HOSTS)))
    served = 0

    async def redirect(_: Received, line: Line) -> None:
        nonlocal served
        served += 1
        await line.answer(307, f"Location: http://{next(places)}:{canaries.port}/")

    async with receiver(redirect, host="127.0.0.2") as server:
        url = f"http://127.0.0.2:{server.port}/"
        for _ in dict.fromkeys((*TO_CANARY, *FORBIDDEN_HOSTS)):
            fault = await fault_of(tool, {"url": url, "follow_redirects": 3, "json": {"secret": 1}})
            assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
            assert (fault.retryable, fault.output) == (False, None)
        await tool.close()
    assert (served, canaries.connections) == (len({*TO_CANARY, *FORBIDDEN_HOSTS}), 0)


async def test_no_name_for_a_forbidden_address_reaches_a_canary(canaries: Canaries) -> None:
    """Whatever a name server answers, also what is no address in its usual form."""
    hosts = [host.strip("[]").replace("%25", "%") for host in dict.fromkeys((*TO_CANARY, *FORBIDDEN_HOSTS))]
    names = {f"host-{number}.example": [host] for number, host in enumerate(hosts)}
    tool = HttpRequest(STRICT, resolver=NamedResolver(names))
    for name in names:
        fault = await fault_of(tool, {"url": f"http://{name}:{canaries.port}/"})
        assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
        assert (fault.retryable, fault.output) == (False, None)
    await tool.close()
    assert canaries.connections == 0


async def test_a_redirect_to_a_name_for_a_forbidden_address_is_refused(canaries: Canaries) -> None:
    resolver = NamedResolver({"innocent.example": ["127.0.0.1"], "mixed.example": ["127.0.0.2", "::1"]})
    tool = HttpRequest(AddressPolicy.parse("127.0.0.2/32"), resolver=resolver)
    for name in ("innocent.example", "mixed.example"):
        place = f"Location: http://{name}:{canaries.port}/"
        async with receiver(answering(302, place), host="127.0.0.2") as server:
            fault = await fault_of(tool, {"url": f"http://127.0.0.2:{server.port}/", "follow_redirects": 1})
        assert (fault.error_class, fault.message) == (ErrorClass.FORBIDDEN_DESTINATION, FORBIDDEN_MESSAGE)
    await tool.close()
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
