"""Which answers are final, which are worth a retry, and when."""

from datetime import timedelta
from email.utils import format_datetime

import pytest

from services.executor.tools.http_outcome import retry_after_seconds
from shared.vocabulary.states import ErrorClass
from tests.integration.tools.conftest import Call, Fail
from tests.integration.tools.receiver import answering, receiver
from tests.support.contexts import NOW


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_a_success(call: Call, status: int) -> None:
    async with receiver(answering(status)) as server:
        assert (await call(server.url))["status"] == status


@pytest.mark.parametrize(
    ("status", "error_class", "retryable"),
    [
        *((status, ErrorClass.HTTP_4XX, True) for status in (408, 409, 425, 429)),
        *((status, ErrorClass.HTTP_4XX, False) for status in (400, 401, 403, 404, 410, 418, 422, 499)),
        *((status, ErrorClass.HTTP_5XX, True) for status in (500, 501, 502, 503, 504, 599)),
        *((status, ErrorClass.TOOL, False) for status in (300, 306, 399, 600, 999)),
    ],
)
async def test_a_status_decides_on_the_retry(
    fail: Fail, status: int, error_class: ErrorClass, *, retryable: bool
) -> None:
    async with receiver(answering(status, "Retry-After: 7", body=b"why")) as server:
        fault = await fail(server.url)
    assert (fault.error_class, fault.retryable) == (error_class, retryable)
    assert fault.retry_after_seconds == (7 if retryable else None)
    assert str(status) in fault.message
    assert isinstance(fault.output, dict)
    assert (fault.output["status"], fault.output["body"]) == (status, "why")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_but_told(fail: Fail, status: int) -> None:
    async with receiver(answering(200)) as target:
        async with receiver(answering(status, f"Location: {target.url}/secret")) as server:
            fault = await fail(server.url, json={})
        assert target.connections == 0
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert f"{target.url}/secret" in fault.message
    assert "not followed" in fault.message
    assert len(server.received) == 1


async def test_a_redirect_without_a_place_is_a_fault_too(fail: Fail) -> None:
    async with receiver(answering(302)) as server:
        fault = await fail(server.url)
    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *(("0", 0.0), ("120", 120.0), (" 5 ", 5.0), ("86400", 86_400.0), ("86401", 86_400.0)),
        *(("9" * 30, 86_400.0), ("9" * 5000, 86_400.0)),
        *(
            (None, None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("1e99", None),
            ("soon", None),
            ("\u0665", None),
        ),
        *(("inf", None), ("nan", None), ("0x10", None), ("Fri, 99 Xxx 2026 00:00:00 GMT", None)),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=9), usegmt=True), 0.0),
        (format_datetime(NOW + timedelta(days=9), usegmt=True), 86_400.0),
        ("Thu, 01 Jan 2026 00:01:00 -0000", 60.0),
        ("Thursday, 01-Jan-26 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 999999 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(value, NOW) == seconds


@pytest.mark.parametrize(("value", "seconds"), [("3", 3.0), ("-1", None), ("1e99", None)])
async def test_retry_after_of_a_real_answer_reaches_the_fault(fail: Fail, value: str, seconds: float | None) -> None:
    async with receiver(answering(429, f"Retry-After: {value}")) as server:
        assert (await fail(server.url)).retry_after_seconds == seconds
