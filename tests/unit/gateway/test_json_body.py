import json

import pytest

from services.gateway.http.body import read_json
from shared.vocabulary.faults import BadRequest, Invalid
from shared.vocabulary.limits import JSON_DEPTH, JSON_NODES, TEXT_CHARACTERS


def _fault(text: str) -> Invalid:
    fault = read_json(text.encode()).fault
    assert fault is not None
    return fault


def test_plain_json_is_read_as_it_is() -> None:
    tree = {"a": [1, -2.5, None, True, "é", "\U0001f600"], "b": {}}
    assert read_json(json.dumps(tree).encode()).tree == tree
    assert read_json(json.dumps(tree, ensure_ascii=False).encode()).tree == tree


@pytest.mark.parametrize("number", [2**63 - 1, -(2**63), 0])
def test_whole_numbers_of_64_bits_are_read(number: int) -> None:
    assert read_json(str(number).encode()).fault is None


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**4000])
def test_larger_ones_are_refused_with_their_place(number: int) -> None:
    fault = _fault(f'{{"a": [1, {{"b": {number}}}]}}')
    assert (fault.error_code, fault.validation_errors[0].field) == ("out_of_range", "a[1].b")


def test_the_deepest_permitted_nesting_is_read_and_one_more_is_not() -> None:
    read_json(b"[" * JSON_DEPTH + b"]" * JSON_DEPTH)
    with pytest.raises(BadRequest) as refusal:
        read_json(b"[" * (JSON_DEPTH + 1) + b"]" * (JSON_DEPTH + 1))
    assert refusal.value.error_code == "json_too_complex"


def test_as_many_values_as_permitted_are_read_and_one_more_is_not() -> None:
    read_json(json.dumps([0] * (JSON_NODES - 1)).encode())
    with pytest.raises(BadRequest) as refusal:
        read_json(json.dumps([0] * JSON_NODES).encode())
    assert refusal.value.error_code == "json_too_complex"


def test_the_longest_permitted_text_is_read_and_one_more_character_is_not() -> None:
    assert read_json(json.dumps("x" * TEXT_CHARACTERS).encode()).fault is None
    assert _fault(json.dumps("x" * (TEXT_CHARACTERS + 1))).error_code == "out_of_range"


def test_nul_is_refused_in_texts_and_in_names() -> None:
    assert _fault('{"a": {"b": ["\\u0000"]}}').validation_errors[0].field == "a.b[0]"
    assert _fault('{"a": {"x\\u0000": 1}}').validation_errors[0].field == "a"


@pytest.mark.parametrize("text", ['"\\ud800"', '{"\\udc00": 1}', '["\\udc00\\ud800"]'])
def test_half_a_surrogate_pair_is_no_character(text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_json(text.encode())
    assert refusal.value.error_code == "invalid_encoding"


def test_a_key_given_twice_is_refused_at_any_depth() -> None:
    with pytest.raises(BadRequest) as refusal:
        read_json(b'{"a": [{"b": 1, "c": 2, "b": 1}]}')
    assert refusal.value.error_code == "duplicate_key"
    assert "'b'" in refusal.value.detail


def test_broken_json_is_told_where_it_breaks() -> None:
    with pytest.raises(BadRequest) as refusal:
        read_json(b'{"a": 1,\n "b" 2}')
    assert "line 2, column 6" in refusal.value.detail
