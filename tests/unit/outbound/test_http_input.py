"""How the arguments of `http.request` are read."""

from collections.abc import Mapping

import pytest

from shared.outbound.addresses import AddressPolicy
from shared.outbound.http_input import HttpRequestInput, check_http_request
from shared.vocabulary.faults import FieldFault, Invalid

URL = "https://example.com/hook"


def read(**arguments: object) -> HttpRequestInput:
    return check_http_request({"url": URL, **arguments}, AddressPolicy(), "payload.pipeline[0].with")


def refused(arguments: Mapping[str, object]) -> FieldFault:
    with pytest.raises(Invalid) as caught:
        check_http_request(arguments, AddressPolicy(), "payload.pipeline[0].with")
    return caught.value.validation_errors[0]


def test_a_url_alone_is_a_get() -> None:
    request = read()
    assert request.effective_method == "GET"
    assert not request.has_body
    assert request.timeout_seconds == 30


@pytest.mark.parametrize("body", [{"json": {"a": 1}}, {"json": None}, {"json": []}, {"body": ""}, {"body": "text"}])
def test_a_body_makes_it_a_post_unless_told_otherwise(body: dict[str, object]) -> None:
    assert read(**body).effective_method == "POST"
    assert read(method="PUT", **body).effective_method == "PUT"


@pytest.mark.parametrize("seconds", [0.001, 1, 86_400])
def test_a_timeout_up_to_a_day_is_accepted(seconds: float) -> None:
    assert read(timeout_seconds=seconds).timeout_seconds == seconds


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"timeout_seconds": 0}, ".timeout_seconds", "out_of_range"),
        ({"timeout_seconds": -1}, ".timeout_seconds", "out_of_range"),
        ({"timeout_seconds": 86_401}, ".timeout_seconds", "out_of_range"),
        ({"timeout_seconds": float("nan")}, ".timeout_seconds", "out_of_range"),
        ({"timeout_seconds": float("inf")}, ".timeout_seconds", "out_of_range"),
        ({"timeout_seconds": "5"}, ".timeout_seconds", "invalid_type"),
        ({"timeout_seconds": True}, ".timeout_seconds", "invalid_type"),
        ({"method": "get"}, ".method", "invalid_choice"),
        ({"method": "CONNECT"}, ".method", "invalid_choice"),
        ({"method": "TRACE"}, ".method", "invalid_choice"),
        ({"url": 5}, ".url", "invalid_type"),
        ({"url": None}, ".url", "invalid_type"),
        ({"url": "http://127.0.0.1/"}, ".url", "destination_forbidden"),
        ({"url": "ftp://example.com/"}, ".url", "invalid_url"),
        ({"headers": {"Host": "x"}}, ".headers.Host", "invalid_header"),
        ({"headers": {"A": 1}}, ".headers", "invalid_type"),
        ({"headers": []}, ".headers", "invalid_type"),
        ({"json": {}, "body": ""}, ".body", "invalid_body"),
        ({"body": {}}, ".body", "invalid_type"),
        ({"body": "\ud800"}, ".body", "invalid_character"),
        ({"verify": False}, ".verify", "unknown_field"),
        ({"proxy": "http://x"}, ".proxy", "unknown_field"),
    ],
)
def test_a_wrong_argument_is_refused_where_it_stands(wrong: dict[str, object], field: str, code: str) -> None:
    fault = refused({"url": URL, **wrong})
    assert (fault.field, fault.code) == (f"payload.pipeline[0].with{field}", code)
    assert fault.message.endswith(".")


def test_a_missing_url_is_required() -> None:
    fault = refused({})
    assert (fault.field, fault.code) == ("payload.pipeline[0].with.url", "required")
