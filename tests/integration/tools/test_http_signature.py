"""A receiver that knows the secret can tell who sent a request, and when."""

from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.executor.tools.http_request import HttpRequest
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Fail
from tests.integration.tools.receiver import Received, answering, receiver
from tests.support.contexts import context_of

OLD, NEW, OTHER = ("whsec_" + letter * 32 for letter in "ABC")


async def sent(tool: HttpRequest, **arguments: object) -> Received:
    return await sent_at(datetime.now(UTC), tool, arguments)


async def sent_at(now: datetime, tool: HttpRequest, arguments: dict[str, object]) -> Received:
    async with receiver(answering(200)) as server:
        await tool.call({"url": server.url, **arguments}, context_of(now=now))
    return server.received[0]


def verify(secret: str, request: Received) -> None:
    Webhook(secret).verify(request.body, request.headers, json_parse=False)


@pytest.mark.parametrize("body", [{"json": {"n": "\u00e9", "a": [1.5, None]}}, {"body": "\u2615"}, {"json": None}, {}])
async def test_the_signature_of_any_body_is_verified_by_the_standards_library(
    tool: HttpRequest, body: dict[str, object]
) -> None:
    request = await sent(tool, secret=NEW, **body)
    verify(NEW, request)
    with pytest.raises(WebhookVerificationError):
        verify(OTHER, request)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(request.body + b" ", request.headers, json_parse=False)


async def test_while_secrets_are_rotated_either_verifies(tool: HttpRequest) -> None:
    request = await sent(tool, secret=[NEW, OLD], json={"n": 1})
    verify(NEW, request)
    verify(OLD, request)
    signatures = request.headers["webhook-signature"].split(" ")
    assert [signature.partition(",")[0] for signature in signatures] == ["v1", "v1"]


async def test_the_id_is_the_idempotency_key_and_the_same_for_every_attempt(tool: HttpRequest) -> None:
    first, second = await sent(tool, secret=NEW), await sent(tool, secret=NEW)
    assert first.headers["webhook-id"] == first.headers["idempotency-key"] == second.headers["webhook-id"]
    assert "." not in first.headers["webhook-id"]


async def test_the_time_is_that_of_the_attempt_by_the_databases_clock(tool: HttpRequest) -> None:
    now = datetime.now(UTC) - timedelta(hours=1)
    request = await sent_at(now, tool, {"secret": NEW})
    assert int(request.headers["webhook-timestamp"]) - int(now.timestamp()) in range(60)
    with pytest.raises(WebhookVerificationError):
        verify(NEW, request)


async def test_without_a_secret_nothing_is_signed(tool: HttpRequest) -> None:
    request = await sent(tool, json={})
    assert not [name for name in request.headers if name.startswith("webhook-")]


@pytest.mark.parametrize("secret", ["whsec_", "hunter2hunter2", "whsec_hunter2", [NEW, "whsec_hunter2"], ""])
async def test_a_malformed_secret_is_told_and_not_repeated(fail: Fail, secret: object) -> None:
    async with receiver(answering(200)) as server:
        fault = await fail(server.url, secret=secret)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message.startswith("with.secret: A signing secret is")
    assert "hunter2" not in fault.message
    assert server.connections == 0
