"""Receivers that accept a request now and answer it later."""

from datetime import timedelta

import pytest

from services.executor.tools.base import Waiting
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.limits import CALLBACK_SECONDS_DEFAULT
from shared.vocabulary.states import ErrorClass, WaitKind
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import answering, receiver
from tests.support.contexts import CONTEXT, context_of


@pytest.mark.parametrize(
    ("await_callback", "seconds"), [(True, CALLBACK_SECONDS_DEFAULT), ({"timeout_seconds": 90}, 90)]
)
async def test_a_202_parks_the_run(tool: HttpRequest, await_callback: object, seconds: float) -> None:
    async with receiver(answering(202, body=b"queued")) as server:
        answer = await tool.call({"url": server.url, "await_callback": await_callback}, CONTEXT)
    assert isinstance(answer, Waiting)
    assert (answer.kind, answer.seconds) == (WaitKind.CALLBACK, seconds)
    assert isinstance(answer.output, dict)
    assert (answer.output["status"], answer.output["body"]) == (202, "queued")


async def test_the_receiver_is_told_how_to_answer() -> None:
    tool = HttpRequest(AddressPolicy.parse("127.0.0.0/8"), public_url="https://pao.example/")
    async with receiver(answering(202)) as server:
        await tool.call({"url": server.url, "await_callback": True}, context_of(step_id="notify[3]"))
        await tool.close()
    headers = server.received[0].headers
    assert headers["pao-run-id"] == str(CONTEXT.run_id)
    assert headers["pao-step-id"] == "notify[3]"
    assert headers["pao-callback-token"] == CONTEXT.callback_token
    assert headers["pao-callback-url"] == f"https://pao.example/v1/runs/{CONTEXT.run_id}"


async def test_without_a_public_url_the_receiver_must_know_where_we_are(tool: HttpRequest) -> None:
    async with receiver(answering(202)) as server:
        await tool.call({"url": server.url, "await_callback": True}, CONTEXT)
    assert "pao-callback-url" not in server.received[0].headers
    assert "pao-callback-token" in server.received[0].headers


async def test_who_does_not_wait_gives_no_token_away(call: Call) -> None:
    async with receiver(answering(202)) as server:
        assert (await call(server.url))["status"] == 202
        assert (await call(server.url, await_callback=False))["status"] == 202
    for request in server.received:
        assert not [name for name in request.headers if name.startswith("pao-")]


async def test_another_2xx_is_the_answer_itself(call: Call) -> None:
    async with receiver(answering(200, body=b"at once")) as server:
        assert (await call(server.url, await_callback=True))["body"] == "at once"


async def test_a_refusal_is_a_refusal(fail: Fail) -> None:
    async with receiver(answering(503, "Retry-After: 9")) as server:
        fault = await fail(server.url, await_callback=True)
    assert (fault.error_class, fault.retry_after_seconds) == (ErrorClass.HTTP_5XX, 9)


async def test_an_acceptance_is_not_yet_the_answer_that_is_expected(tool: HttpRequest) -> None:
    arguments = {"expect": {"status": [200], "when": "response.json.ok"}, "extract": {"id": "response.json.id"}}
    async with receiver(answering(202)) as server:
        answer = await tool.call({"url": server.url, "await_callback": True, **arguments}, CONTEXT)
    assert isinstance(answer, Waiting)


async def test_the_token_goes_to_no_other_origin(fail: Fail) -> None:
    async with receiver(answering(202)) as other:
        async with receiver(answering(307, f"Location: {other.url}/")) as server:
            fault = await fail(server.url, await_callback=True, follow_redirects=3)
        assert other.connections == 0
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert "callback token" in fault.message


async def test_dates_are_read_by_the_databases_clock(tool: HttpRequest) -> None:
    """Whatever the time here is."""
    date = (CONTEXT.now + timedelta(minutes=5)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    async with receiver(answering(503, f"Retry-After: {date}")) as server:
        with pytest.raises(Exception, match="503") as caught:
            await tool.call({"url": server.url}, CONTEXT)
    assert 240 < caught.value.retry_after_seconds <= 300  # type: ignore[attr-defined]
