"""Where a redirect leads, with which method, and what it may carry there."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from services.executor.tools.base import ToolFault
from services.executor.tools.outgoing import Outgoing, redirected
from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import Line, Received, Receiver, answering, receiver

SECRET = "whsec_" + "A" * 32
CREDENTIALS = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "Proxy-Thing": "p"}


@pytest.fixture
async def other() -> AsyncIterator[Receiver]:
    async with receiver(answering(200, body=b"other")) as server:
        yield server


async def redirect_once(request: Received, line: Line) -> None:
    """`/307/path` leads to `/path`."""
    status, _, path = request.target.removeprefix("/").partition("/")
    if status.isdigit():
        await line.answer(int(status), f"Location: /{path}")
    else:
        await line.answer(200, body=b"" if request.method == "HEAD" else b"here")


@pytest.mark.parametrize(
    ("status", "method", "expected"),
    [
        *(
            (301, "POST", "GET"),
            (302, "POST", "GET"),
            (303, "POST", "GET"),
            (303, "PUT", "GET"),
            (303, "DELETE", "GET"),
        ),
        *((301, "PUT", "PUT"), (302, "DELETE", "DELETE"), (303, "HEAD", "HEAD"), (301, "GET", "GET")),
        *((307, "POST", "POST"), (308, "POST", "POST"), (307, "PUT", "PUT"), (308, "PATCH", "PATCH")),
    ],
)
async def test_the_method_follows_the_rules_of_rfc_9110(call: Call, status: int, method: str, expected: str) -> None:
    async with receiver(redirect_once) as server:
        output = await call(f"{server.url}/{status}/there", method=method, json={"n": 1}, follow_redirects=1)
    first, second = server.received
    assert (first.method, second.method, second.target) == (method, expected, "/there")
    assert output["status"] == 200
    assert second.body == (b'{"n":1}' if expected == method else b"")
    assert ("content-type" in second.headers) == (expected == method)


async def test_three_redirects_are_followed_and_no_more(call: Call, fail: Fail) -> None:
    async with receiver(redirect_once) as server:
        assert (await call(f"{server.url}/302/302/302/end", follow_redirects=3))["body"] == "here"
        assert len(server.received) == 4
        fault = await fail(f"{server.url}/302/302/302/302/end", follow_redirects=3)
    assert len(server.received) == 8
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert "only 3 redirects" in fault.message


async def test_an_endless_redirect_ends(fail: Fail) -> None:
    async with receiver(answering(308, "Location: /again")) as server:
        fault = await fail(server.url, json={}, follow_redirects=3)
    assert (fault.error_class, len(server.received)) == (ErrorClass.TOOL, 4)


async def test_a_slow_chain_of_redirects_shares_one_deadline(fail: Fail) -> None:
    async def handle(_: Received, line: Line) -> None:
        await line.hangs_up_within(0.15)
        await line.answer(302, "Location: /again")

    async with receiver(handle) as server:
        fault = await fail(server.url, follow_redirects=3, timeout_seconds=0.25)
        await server.all_gone()
    assert fault.error_class is ErrorClass.TIMEOUT
    assert len(server.received) < 4


async def test_the_same_origin_gets_everything_again(call: Call) -> None:
    async with receiver(redirect_once) as server:
        headers = {"Authorization": "Bearer x", "X-Api-Key": "k"}
        await call(f"{server.url}/307/there", json={}, headers=headers, secret=SECRET, follow_redirects=1)
    first, second = server.received
    own = ("authorization", "x-api-key", "idempotency-key", "traceparent", "webhook-id", "webhook-signature")
    assert [second.headers[name] for name in own] == [first.headers[name] for name in own]


async def test_another_origin_gets_no_credentials_but_the_key(call: Call, other: Receiver) -> None:
    async with receiver(answering(307, f"Location: {other.url}/there")) as server:
        headers = {**CREDENTIALS, "Accept": "text/plain", "Content-Type": "application/x-own"}
        output = await call(server.url, body="data", headers=headers, secret=SECRET, follow_redirects=1)
    (request,) = other.received
    assert output["body"] == "other"
    assert request.body == b"data"
    for name in (*CREDENTIALS, "webhook-id", "webhook-timestamp", "webhook-signature"):
        assert name.lower() not in request.headers
    assert request.headers["accept"] == "text/plain"
    assert request.headers["content-type"] == "application/x-own"
    assert request.headers["idempotency-key"] == server.received[0].headers["idempotency-key"]
    assert request.headers["traceparent"] == server.received[0].headers["traceparent"]


async def test_what_was_left_behind_is_not_sent_to_the_first_origin_again(call: Call) -> None:
    urls: list[str] = []

    async def there(_: Received, line: Line) -> None:
        await line.answer(307, f"Location: {urls[0]}/end")

    async def here(request: Received, line: Line) -> None:
        following = {"/": f"Location: {urls[1]}/", "/end": "Location: /last"}
        if request.target in following:
            await line.answer(307, following[request.target])
        else:
            await line.answer(200)

    async with receiver(there) as away, receiver(here) as server:
        urls += [server.url, away.url]
        await call(server.url, headers={"X-Api-Key": "k"}, secret=SECRET, follow_redirects=3)
    assert [request.target for request in server.received] == ["/", "/end", "/last"]
    for name in ("x-api-key", "webhook-signature"):
        assert [name in request.headers for request in server.received] == [True, False, False]


@pytest.mark.parametrize(
    "place",
    ["ftp://example.com/", "http://user:word@example.com/", "http://exa mple.com/", "http://[::1", "//a..b/"],
)
async def test_a_place_that_cannot_be_called_is_the_end(fail: Fail, place: str) -> None:
    async with receiver(answering(302, f"Location: {place}")) as server:
        fault = await fail(server.url, follow_redirects=3)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert "not followed" in fault.message
    assert len(server.received) == 1


async def test_a_redirect_without_a_place_is_an_answer_like_any_other(fail: Fail) -> None:
    async with receiver(answering(302)) as server:
        fault = await fail(server.url, follow_redirects=3)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)


async def test_from_https_to_http_no_redirect_leads(
    other: Receiver, fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = Path(__file__).with_name("self_signed.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    trusting = ssl.create_default_context(cafile=certificate)
    trusting.check_hostname = False
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", trusting)
    async with receiver(answering(302, f"Location: {other.url}/"), tls=tls) as server:
        fault = await fail(server.url.replace("http:", "https:"), follow_redirects=3)
    assert len(server.received) == 1
    assert "from https to http" in fault.message
    assert other.connections == 0


@pytest.mark.parametrize("base", ["https://a.example/x", "HTTPS://a.example/x"])
def test_https_is_never_left_whatever_its_spelling(base: str) -> None:
    sent = Outgoing("GET", base, {}, None)
    with pytest.raises(ToolFault, match="https to http"):
        redirected(sent, 302, "http://a.example/", AddressPolicy(), has_token=False)
