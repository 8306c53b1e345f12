"""How the input of a tool is checked while parts of it are still templates."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from shared.outbound.addresses import AddressPolicy
from shared.tools.base import TEMPLATE_MARK, is_open
from shared.tools.catalogue import CATALOGUE
from shared.tools.http_request import HTTP_REQUEST
from shared.tools.open_input import check_input, faults_of_form
from shared.vocabulary.faults import FieldFault, Invalid

URL = "https://example.com/hook"
SECRET = "whsec_" + "A" * 43


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    name: str = ""


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    count: int
    inner: Inner | None = None
    many: list[Inner] = []
    by_name: dict[str, int] = {}
    anything: Any = None


def found(value: object) -> list[tuple[str, str]]:
    return [(fault.field, fault.code) for fault in faults_of_form(value, Outer, "with")]


def check(arguments: Mapping[str, Any]) -> None:
    check_input(HTTP_REQUEST, arguments, AddressPolicy(), "payload.pipeline[2].with")


def refused(arguments: Mapping[str, Any]) -> list[FieldFault]:
    with pytest.raises(Invalid) as caught:
        check(arguments)
    return list(caught.value.validation_errors)


@pytest.mark.parametrize(
    "value",
    [
        {"count": "${params.n}"},
        {"count": "${params.a}", "inner": "${params.inner}", "many": "${params.list}", "by_name": "${params.map}"},
        {"count": 1, "inner": {"count": "${params.n}"}},
        {"count": 1, "many": [{"count": 1}, {"count": "${params.n}"}, "${params.whole}"]},
        {"count": 1, "by_name": {"a": "${params.n}", "b": 2}},
        {"count": 1, "anything": {"deep": ["${params.n}", {"x": 1}]}},
        {"count": 1, "inner": {"count": 1, "name": "Dear ${params.name}!"}},
    ],
)
def test_a_value_that_is_not_known_yet_is_no_fault(value: object) -> None:
    assert found(value) == []


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"inner": "${x}"}, [("with.count", "required")]),
        ({"count": "x", "inner": "${x}"}, [("with.count", "invalid_type")]),
        ({"count": "${x}", "typo": 1}, [("with.typo", "unknown_field")]),
        ({"count": "${x}", "typo": "${y}"}, [("with.typo", "unknown_field")]),
        ({"count": 1, "inner": {"count": "${x}", "name": 5}}, [("with.inner.name", "invalid_type")]),
        ({"count": 1, "inner": {"name": "${x}"}}, [("with.inner.count", "required")]),
        ({"count": 1, "inner": ["${x}"]}, [("with.inner", "invalid_type")]),
        (
            {"count": 1, "many": [{"count": "${x}"}, {"count": "5"}, 5]},
            [("with.many[1].count", "invalid_type"), ("with.many[2]", "invalid_type")],
        ),
        ({"count": 1, "many": {"a": "${x}"}}, [("with.many", "invalid_type")]),
        ({"count": 1, "by_name": {"a": "${x}", "b": "2"}}, [("with.by_name.b", "invalid_type")]),
        ({"count": "${a} of ${b}.", "many": 1}, [("with.many", "invalid_type"), ("with.count", "invalid_type")]),
    ],
)
def test_what_no_value_can_mend_is_refused_where_it_stands(value: object, faults: list[tuple[str, str]]) -> None:
    assert sorted(found(value)) == sorted(faults)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_example_of_every_tool_is_accepted(name: str) -> None:
    check_input(CATALOGUE[name], CATALOGUE[name].example["with"], AddressPolicy(), "with")


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "${params.url}"},
        {"url": "https://${params.host}/hook", "timeout_seconds": "${params.seconds}", "method": "${params.method}"},
        {"url": "https://example.com/${params.path}?a=${params.query}", "follow_redirects": "${params.n}"},
        {"url": "http://169.254.169.254.${params.domain}/"},
        {"url": URL, "headers": {"X-A": "${params.a}", "Authorization": "Bearer ${secrets.t}"}, "json": "${params}"},
        {"url": URL, "headers": "${params.headers}"},
        {"url": URL, "headers": {"X-Text": "a ${params.a ==\n'x'}"}},
        {"url": URL, "body": "Dear ${params.name}", "secret": "${secrets.hook}"},
        {"url": URL, "secret": ["${secrets.new}", "${secrets.old}"]},
        {"url": URL, "secret": [SECRET, "${secrets.old}"]},
        {"url": URL, "expect": {"status": ["${params.status}", 404]}, "await_callback": "${params.wait}"},
        {"url": URL, "expect": "${params.expect}", "await_callback": {"timeout_seconds": "${params.wait}"}},
    ],
)
def test_a_request_with_open_values_is_accepted(arguments: dict[str, Any]) -> None:
    check(arguments)


@pytest.mark.parametrize(
    ("wrong", "field", "code"),
    [
        ({"url": "http://169.254.169.254/${params.x}"}, "url", "destination_forbidden"),
        ({"url": "http://2130706433?x=${params.x}"}, "url", "destination_forbidden"),
        ({"url": "HTTP://localhost#${params.x}"}, "url", "destination_forbidden"),
        ({"url": "http://user:word@example.com/${params.x}"}, "url", "invalid_url"),
        ({"url": "ftp://${params.host}/"}, "url", "invalid_url"),
        ({"url": 5, "body": "${params.x}"}, "url", "invalid_type"),
        ({"headers": {"Host": "${params.x}"}}, "headers.Host", "invalid_header"),
        ({"headers": {"Pao-Anything": "${params.x}"}}, "headers.Pao-Anything", "invalid_header"),
        ({"headers": {"X-A": "${params.x}", "X-B": "a\nb"}}, "headers.X-B", "invalid_header"),
        ({"headers": {"X-A": "${params.x}", "x-a": "1"}}, "headers.x-a", "invalid_header"),
        ({"headers": {"X-A": "${params.x}", "X-B": 1}}, "headers.X-B", "invalid_type"),
        ({"timeout_seconds": "5${params.x}"}, "timeout_seconds", "invalid_type"),
        ({"json": "${params.x}", "body": "${params.y}"}, "body", "invalid_body"),
        ({"secret": ["whsec_short", "${secrets.a}"]}, "secret", "invalid_secret"),
        ({"expect": {"when": "${response.status == 200}"}}, "expect.when", "invalid_pipeline"),
        ({"expect": {"when": "response.status =="}}, "expect.when", "invalid_pipeline"),
        ({"expect": {"status": ["${params.x}", "7xx"]}}, "expect.status[1]", "invalid_format"),
        ({"extract": {"id": "${response.json.id}"}}, "extract.id", "invalid_pipeline"),
        ({"extract": {"id": "params.id"}}, "extract.id", "invalid_pipeline"),
        ({"await_callback": {"timeout_seconds": "${params.x}", "url": "x"}}, "await_callback.url", "unknown_field"),
    ],
)
def test_a_request_that_no_value_can_mend_is_refused(wrong: dict[str, Any], field: str, code: str) -> None:
    fault = refused({"url": URL, **wrong})[0]
    assert (fault.field, fault.code) == (f"payload.pipeline[2].with.{field}", code)
    assert fault.message.endswith(".")


def test_all_faults_of_form_are_told_at_once() -> None:
    faults = refused({"url": 5, "timeout_seconds": "soon", "headers": {"X-A": "${a}", "X-B": 1}, "tpyo": 1})
    assert {fault.field.rpartition(".with.")[2] for fault in faults} == {
        *("url", "timeout_seconds", "headers.X-B", "tpyo")
    }


def test_the_mark_of_a_template_is_found_at_any_depth() -> None:
    assert is_open({"a": [{"b": f"x{TEMPLATE_MARK}y}}"}]})
    assert not is_open({TEMPLATE_MARK: ["$", "{", 5, None]})
