"""Which request headers are accepted from users."""

import pytest

from shared.outbound.headers import MAX_HEADERS, check_headers
from shared.vocabulary.faults import Invalid


def refused_field(headers: dict[str, str]) -> str:
    with pytest.raises(Invalid) as caught:
        check_headers(headers, "with.headers")
    assert caught.value.error_code == "invalid_header"
    return caught.value.validation_errors[0].field


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc", "X-Empty": "", "Accept": "a/b; q=0.5,\tc/d"},
        {"Title": "Caf\u00e9 \u2615"},
        {"!#$%&'*+-.^_`|~09azAZ": "x"},
        {"Content-Type": "application/xml", "Cookie": "a=b", "User-Agent": "mine"},
    ],
)
def test_ordinary_headers_are_accepted(headers: dict[str, str]) -> None:
    check_headers(headers, "with.headers")


@pytest.mark.parametrize("name", ["", " ", "A B", "A:", "A\r\nB", "A\n", "\u00e9", "A\x00", "(A)", "a" * 129, "\ud800"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    assert refused_field({name: "x"}) == "with.headers"


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Host",
            "HOST",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Keep-Alive",
            "Proxy-Authorization",
        ),
        *("Proxy-Authenticate", "Proxy-Connection", "TE", "Trailer", "Upgrade", "Expect", "Accept-Encoding"),
        *("Idempotency-Key", "idempotency-key", "traceparent", "Traceparent", "tracestate"),
        *("webhook-id", "Webhook-Signature", "WEBHOOK-TIMESTAMP", "webhook-anything"),
        *("PAO-Run-Id", "pao-step-id", "Pao-Callback-Token", "PAO-Callback-Url", "pao-anything"),
    ],
)
def test_a_header_that_the_service_sets_is_refused(name: str) -> None:
    assert refused_field({"X-Fine": "1", name: "x"}) == f"with.headers.{name}"


@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\r\n", "\x01", "\x1f", "\x7f", "\x85", "\x9b", "\ud800"])
def test_a_control_character_in_a_value_is_refused(character: str) -> None:
    for value in (character, f"a{character}b", f"a{character}", f"{character}b"):
        assert refused_field({"X-Value": value}) == "with.headers.X-Value"


def test_the_same_header_twice_is_refused() -> None:
    assert refused_field({"X-One": "1", "x-one": "2"}) == "with.headers.x-one"


def test_too_many_or_too_long_headers_are_refused() -> None:
    assert refused_field({f"X-{index}": "" for index in range(MAX_HEADERS + 1)}) == "with.headers"
    assert refused_field({"X-Long": "a" * 20_000}) == "with.headers"
