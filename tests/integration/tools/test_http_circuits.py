"""Receivers that keep silent are left alone for a while, and none takes every connection."""

import asyncio
from uuid import uuid4

import pytest

from services.executor.tools import connector, flight
from services.executor.tools.breaker import FAILURES_IN_A_ROW
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.canaries import NamedResolver
from tests.integration.tools.conftest import Fail, fault_of
from tests.integration.tools.receiver import Line, Received, answering, receiver
from tests.support.contexts import CONTEXT, context_of
from tests.support.waiting import wait_until


async def hang(_: Received, line: Line) -> None:
    await line.hung_up()


async def test_after_twenty_refused_connections_none_is_tried(fail: Fail) -> None:
    async with receiver(answering(200)) as server:
        pass
    for _ in range(FAILURES_IN_A_ROW):
        assert "refused" in (await fail(server.url)).message
    async with receiver(answering(200), port=server.port) as healed:
        fault = await fail(f"{server.url}/another/path")
        assert healed.connections == 0
    assert (fault.error_class, fault.retryable) == (ErrorClass.CONNECT, True)
    assert fault.retry_after_seconds is not None
    assert 0 < fault.retry_after_seconds <= 5
    assert "was not called" in fault.message


async def test_timeouts_and_unknown_names_count_and_answers_do_not(fail: Fail) -> None:
    async with receiver(hang) as silent:
        faults = await asyncio.gather(*(fail(silent.url, timeout_seconds=0.1) for _ in range(FAILURES_IN_A_ROW)))
        assert {fault.error_class for fault in faults} == {ErrorClass.TIMEOUT}
        assert (await fail(silent.url)).error_class is ErrorClass.CONNECT
    for _ in range(FAILURES_IN_A_ROW):
        assert (await fail("http://no-such-name.invalid/")).error_class is ErrorClass.DNS
    assert (await fail("http://no-such-name.invalid/")).error_class is ErrorClass.CONNECT
    async with receiver(answering(500)) as angry:
        for _ in range(2 * FAILURES_IN_A_ROW):
            assert (await fail(angry.url)).error_class is ErrorClass.HTTP_5XX


async def test_an_answer_that_began_is_no_silence(fail: Fail) -> None:
    async def drip(_: Received, line: Line) -> None:
        await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nx")
        await line.hung_up()

    async with receiver(drip) as server:
        for _ in range(2):
            faults = await asyncio.gather(*(fail(server.url, timeout_seconds=0.1) for _ in range(FAILURES_IN_A_ROW)))
            assert {fault.error_class for fault in faults} == {ErrorClass.TIMEOUT}


async def test_refused_destinations_and_stopped_calls_are_no_silence(tool: HttpRequest) -> None:
    strict = HttpRequest(AddressPolicy(), resolver=NamedResolver({"inside.example": ["127.0.0.1"]}))
    for _ in range(FAILURES_IN_A_ROW + 1):
        fault = await fault_of(strict, {"url": "http://inside.example/"})
        assert fault.error_class is ErrorClass.FORBIDDEN_DESTINATION
    await strict.close()
    async with receiver(hang) as server:
        calls = [asyncio.create_task(tool.call({"url": server.url}, CONTEXT)) for _ in range(FAILURES_IN_A_ROW + 1)]
        await wait_until(lambda: len(server.received) == len(calls))
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        assert (await fault_of(tool, {"url": server.url, "timeout_seconds": 0.05})).error_class is ErrorClass.TIMEOUT


async def test_one_agent_closes_no_receiver_to_another(tool: HttpRequest, fail: Fail) -> None:
    async with receiver(hang) as server:
        await asyncio.gather(*(fail(server.url, timeout_seconds=0.05) for _ in range(FAILURES_IN_A_ROW)))
        assert (await fail(server.url)).error_class is ErrorClass.CONNECT
        with pytest.raises(Exception, match=r"within 0\.05 s"):
            await tool.call({"url": server.url, "timeout_seconds": 0.05}, context_of(agent_id=uuid4()))


async def test_one_receiver_takes_a_hundred_connections_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connector, "CONNECTIONS_PER_HOST", 5)
    monkeypatch.setattr(flight, "CONNECTIONS_PER_HOST", 5)
    tool = HttpRequest(AddressPolicy.parse("127.0.0.0/8"))
    async with receiver(hang) as hanging, receiver(answering(200)) as other:
        calls = [asyncio.create_task(tool.call({"url": hanging.url}, CONTEXT)) for _ in range(5)]
        await wait_until(lambda: len(hanging.received) == 5)
        fault = await fault_of(tool, {"url": hanging.url, "timeout_seconds": 0.1})
        await tool.call({"url": other.url}, CONTEXT)
        assert hanging.connections == 5
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await tool.close()
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)
    assert "the wait for one of its" in fault.message


def test_the_bound_is_a_hundred() -> None:
    assert connector.CONNECTIONS_PER_HOST == 100


async def test_waiting_for_a_turn_tells_nothing_of_the_receiver() -> None:
    tool = HttpRequest(AddressPolicy.parse("127.0.0.0/8"), connections=2)
    async with receiver(hang) as server:
        calls = [asyncio.create_task(tool.call({"url": server.url}, context_of(agent_id=uuid4()))) for _ in range(2)]
        await wait_until(lambda: len(server.received) == 2)
        arguments = {"url": server.url, "timeout_seconds": 0.05}
        await asyncio.gather(*(fault_of(tool, arguments) for _ in range(FAILURES_IN_A_ROW)))
        fault = await fault_of(tool, arguments)
        for each in calls:
            each.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await tool.close()
    assert fault.error_class is ErrorClass.TIMEOUT


async def test_a_call_gives_its_turn_back_for_each_place_that_it_went_to() -> None:
    tool = HttpRequest(AddressPolicy.parse("127.0.0.0/8"), connections=2)
    async with receiver(answering(302, "Location: /on")) as moving, receiver(hang) as silent:
        for _ in range(3):
            await fault_of(tool, {"url": moving.url, "follow_redirects": 3})
        fault = await fault_of(tool, {"url": silent.url, "timeout_seconds": 0.05})
        await tool.close()
    assert "wait" not in fault.message
