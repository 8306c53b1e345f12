"""How the arguments of `http.request` are read."""

from collections.abc import Mapping

import pytest

from shared.outbound.addresses import AddressPolicy
from shared.tools.http_request import HttpRequestInput, check_http_request
from shared.vocabulary.faults import FieldFault, Invalid

URL = "https://example.com/hook"
SECRET = "whsec_" + "A" * 32


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
        ({"headers": {"PAO-Callback-Token": "x"}}, ".headers.PAO-Callback-Token", "invalid_header"),
        ({"secret": ""}, ".secret", "invalid_secret"),
        ({"secret": []}, ".secret", "required"),
        ({"secret": [SECRET] * 3}, ".secret", "too_long"),
        ({"secret": [SECRET, "x"]}, ".secret", "invalid_secret"),
        ({"secret": 5}, ".secret", "invalid_type"),
        ({"expect": {"status": []}}, ".expect.status", "required"),
        ({"expect": {"status": [99]}}, ".expect.status[0]", "out_of_range"),
        ({"expect": {"status": ["6xx"]}}, ".expect.status[0]", "invalid_format"),
        ({"expect": {"when": "response.sttaus == 200"}}, ".expect.when", "invalid_pipeline"),
        ({"expect": {"when": "steps.a.output == 1"}}, ".expect.when", "invalid_pipeline"),
        ({"expect": {"when": "${true}"}}, ".expect.when", "invalid_pipeline"),
        ({"expect": {"then": "x"}}, ".expect.then", "unknown_field"),
        ({"extract": {"a": "response.json["}}, ".extract.a", "invalid_pipeline"),
        ({"extract": {"a b": "response.json"}}, ".extract", "invalid_format"),
        ({"extract": {f"n{number}": "response.body" for number in range(33)}}, ".extract", "too_long"),
        ({"follow_redirects": 4}, ".follow_redirects", "out_of_range"),
        ({"follow_redirects": -1}, ".follow_redirects", "out_of_range"),
        ({"await_callback": {}}, ".await_callback.timeout_seconds", "required"),
        ({"await_callback": {"timeout_seconds": 0}}, ".await_callback.timeout_seconds", "out_of_range"),
        ({"await_callback": {"timeout_seconds": 31 * 86_400}}, ".await_callback.timeout_seconds", "out_of_range"),
        ({"await_callback": 5}, ".await_callback", "invalid_type"),
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


@pytest.mark.parametrize(
    "secret",
    [
        *("", "whsec_", "whsec", "AAAA", "A" * 32, f"WHSEC_{'A' * 32}", f"whsec_{'A' * 31}", f"whsec_{'A' * 88}"),
        *(f"whsec_{'A' * 31}!", f"whsec_{'A' * 32} ", f"whsec_{'-' * 32}", f"whsec_{chr(233) * 32}"),
    ],
)
def test_a_secret_that_cannot_sign_is_refused_and_not_repeated(secret: str) -> None:
    fault = refused({"url": URL, "secret": secret})
    assert fault.code == "invalid_secret"
    assert not secret or secret not in fault.message.replace("whsec_ and", "")


@pytest.mark.parametrize("secret", [SECRET, [SECRET], [SECRET, f"whsec_{'B' * 43}="], f"whsec_{'B' * 43}"])
def test_one_or_two_secrets_of_the_standard_are_accepted(secret: object) -> None:
    assert 1 <= len(read(secret=secret).secrets) <= 2


def test_the_hint_for_a_template_in_an_expression_says_how_to_write_it() -> None:
    assert "without ${" in refused({"url": URL, "expect": {"when": "${response.status == 200}"}}).message


def test_what_looks_like_a_template_after_rendering_is_data_and_checked_as_such() -> None:
    assert refused({"url": "http://127.0.0.1/${x}"}).code == "destination_forbidden"
    assert refused({"url": "http://${x}/"}).code == "invalid_url"
    assert refused({"url": URL, "headers": {"X-A": "${x}\r\nEvil: 1"}}).code == "invalid_header"
    assert refused({"url": URL, "secret": "${secrets.x}"}).code == "invalid_secret"


@pytest.mark.parametrize(("given", "seconds"), [(False, None), (True, 3600), ({"timeout_seconds": 5}, 5)])
def test_who_awaits_a_callback_says_for_how_long(given: object, seconds: float | None) -> None:
    assert read(await_callback=given).callback_seconds == seconds


def test_statuses_are_listed_one_by_one_or_by_class() -> None:
    expect = read(expect={"status": [404, "2xx"]}).expect
    assert [status for status in (199, 200, 299, 300, 403, 404) if expect.lists(status)] == [200, 299, 404]
    assert read().expect.lists(204)
    assert not read().expect.lists(302)
