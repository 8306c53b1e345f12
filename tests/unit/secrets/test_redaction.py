"""What a receiver or a library may make of a secret before we see it again."""

import base64
import html
import json
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secrets.redaction import MARK, Redactor

VALUE = "pa$s/w+ord é\"=&<'%:?~ZZ"
AMONG = "before {} after"
AWKWARD = st.text(min_size=4, max_size=40).filter(lambda text: text.isprintable() and text.strip() == text)


def _lower_hex(encoded: str) -> str:
    parts = encoded.split("%")
    return parts[0] + "".join("%" + part[:2].lower() + part[2:] for part in parts[1:])


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda value: value,
    "base64": lambda value: base64.b64encode(value.encode()).decode(),
    "base64 without padding": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "upper hex": lambda value: value.encode().hex().upper(),
    "percent": lambda value: quote(value, safe=""),
    "percent, slashes kept": quote,
    "percent in lower case": lambda value: _lower_hex(quote(value, safe="")),
    "every byte percent-encoded": lambda value: "".join(f"%{byte:02X}" for byte in value.encode()),
    "form": quote_plus,
    "form in lower case": lambda value: _lower_hex(quote_plus(value)),
    "query": lambda value: urlencode({"q": value}),
    "percent of base64": lambda value: quote(base64.b64encode(value.encode()).decode(), safe=""),
    "JSON in ASCII": json.dumps,
    "JSON in UTF-8": lambda value: json.dumps(value, ensure_ascii=False),
    "JSON with escaped slashes": lambda value: json.dumps(value).replace("/", "\\/"),
    "JSON in JSON": lambda value: json.dumps(json.dumps({"token": value})),
    "HTML": html.escape,
    "repr": repr,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_secret_is_taken_out_and_nothing_beside_it(form: str) -> None:
    disguised = FORMS[form](VALUE)
    redacted = Redactor([VALUE]).text(AMONG.format(disguised))
    assert MARK in redacted
    assert redacted.startswith("before ")
    assert redacted.endswith(" after")
    assert "ZZ" not in redacted
    assert base64.b64encode(b"ord").decode() not in redacted


@given(AWKWARD, st.sampled_from(sorted(FORMS)), st.text(max_size=10), st.text(max_size=10))
def test_no_form_of_any_secret_remains(value: str, form: str, before: str, after: str) -> None:
    disguised = FORMS[form](value)
    assert disguised not in Redactor([value]).text(f"{before} {disguised} {after}")


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_a_secret_inside_basic_credentials_is_taken_out(user: str, after: str) -> None:
    value = "correct-horse-battery"
    credentials = base64.b64encode(f"{user}:{value}{after}".encode()).decode()
    redacted = Redactor([value]).text(f"Authorization: Basic {credentials}")
    (_, _, left) = redacted.partition("Basic ")
    assert MARK in left
    # At most the characters that also hold bits of what stands beside it.
    assert len(left.replace(MARK, "")) <= len(base64.b64encode(f"{user}:".encode())) + 1 + 4


def test_values_that_overlap_leave_nothing_of_either() -> None:
    redactor = Redactor(["abcdefgh", "fghijkl", "abcd"])
    assert redactor.text("<abcdefghijkl> <abcd> <abcdabcd>") == "<[secret]> <[secret]> <[secret]>"
    assert Redactor(["abcdefgh", "cdef"]).text("<abcdefgh>") == "<[secret]>"


def test_the_longest_value_is_taken_as_one() -> None:
    assert Redactor(["token", "token-of-mine"]).text("token-of-mine, token") == "[secret], [secret]"


def test_texts_keys_and_numbers_of_json_are_searched() -> None:
    redactor = Redactor(["hunter22", "123456"])
    found = redactor.value({"a": ["x hunter22 y", {"hunter22": 1}], "b": 123456, "c": 0.5, "d": None, "e": True})
    assert found == {"a": ["x [secret] y", {MARK: 1}], "b": MARK, "c": 0.5, "d": None, "e": True}


def test_json_that_holds_no_secret_is_given_back_as_it_is() -> None:
    tree = {"a": ["hunter", {"b": 1}]}
    assert Redactor(["hunter22"]).value(tree) is tree
    assert Redactor.NOTHING.value(tree) is tree


def test_a_short_value_is_taken_only_where_it_is_the_whole_text() -> None:
    redactor = Redactor(["abc", "1"])
    assert redactor.text("abcabc 1") == "abcabc 1"
    assert redactor.value(["abc", "1", "abc ", 1, {"abc": ""}]) == [MARK, MARK, "abc ", 1, {MARK: ""}]


def test_a_value_that_lost_its_line_break_on_the_way_is_found() -> None:
    assert Redactor(["hunter22\n"]).text("X-Key: hunter22") == "X-Key: [secret]"


def test_what_lies_on_the_border_of_two_texts_is_no_finding() -> None:
    tree = ["hun", "ter22", "hunter", "22"]
    assert Redactor(["hunter22"]).value(tree) is tree


@pytest.mark.parametrize("values", [[], [""], ["  "]])
def test_without_values_nothing_is_touched(values: list[str]) -> None:
    assert Redactor(values).text("a  b") == "a  b"


@pytest.mark.parametrize("text", ["a" * 262_144, '\\\\\\"' * 65_536, "%41%c3%bc" * 29_127, "hunter22" * 32_768])
def test_a_large_text_costs_no_more_than_its_length(text: str) -> None:
    """Both measured here: a machine that is busy slows down both."""
    redactor = Redactor([f"hunter2{number}" for number in range(10)] + ["a" * 40])

    def seconds(part: str) -> float:
        began = time.process_time()
        redactor.text(part)
        return time.process_time() - began

    whole, eighth = min(seconds(text) for _ in range(3)), min(seconds(text[: len(text) // 8]) for _ in range(3))
    assert whole < 8 * 4 * eighth + 0.02
