from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest

from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import FieldFault, Invalid


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    size: Annotated[int, msgspec.Meta(ge=1)]


class Outer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=3)]
    colour: Colour | None = None
    kind: Literal["a", "b"] = "a"
    priority: Annotated[int, msgspec.Meta(ge=1, le=9)] = 5
    owner: UUID | None = None
    at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None
    tags: Annotated[list[Annotated[str, msgspec.Meta(max_length=2)]], msgspec.Meta(max_length=2)] = []
    inner: list[Inner] = []
    headers: dict[str, str] = {}
    share: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    pin: Annotated[str, msgspec.Meta(min_length=4)] = "0000"


def _faults(**values: object) -> list[FieldFault]:
    with pytest.raises(Invalid) as refusal:
        decode({"name": "x", **values}, Outer, "body")
    return list(refusal.value.validation_errors)


CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"name": ""}, "body.name", "required", "must not be empty"),
    ({"name": "abcd"}, "body.name", "too_long", "At most 3 characters"),
    ({"name": 5}, "body.name", "invalid_type", "Expected str, got int"),
    ({"name": None}, "body.name", "invalid_type", "got null"),
    ({"pin": "1"}, "body.pin", "too_short", "At least 4 characters"),
    ({"colour": "green"}, "body.colour", "invalid_choice", "one of red, blue"),
    ({"kind": "c"}, "body.kind", "invalid_choice", "one of a, b"),
    ({"priority": 0}, "body.priority", "out_of_range", "at least 1"),
    ({"priority": 10}, "body.priority", "out_of_range", "at most 9"),
    ({"priority": True}, "body.priority", "invalid_type", "got bool"),
    ({"priority": "5"}, "body.priority", "invalid_type", "got str"),
    ({"priority": 5.0}, "body.priority", "invalid_type", "got float"),
    ({"share": 0}, "body.share", "out_of_range", "more than 0"),
    ({"owner": "me"}, "body.owner", "invalid_id", "UUID"),
    ({"at": "2030-01-01T00:00:00"}, "body.at", "invalid_datetime", "offset"),
    ({"at": "2030-13-01T00:00:00Z"}, "body.at", "invalid_datetime", "existing instant"),
    ({"at": 5}, "body.at", "invalid_type", "got int"),
    ({"tags": ["a", "b", "c"]}, "body.tags", "too_long", "At most 2 items"),
    ({"tags": ["abc"]}, "body.tags[0]", "too_long", "At most 2 characters"),
    ({"tags": "a"}, "body.tags", "invalid_type", "Expected array"),
    ({"inner": [{"size": 1}, {"size": 0}]}, "body.inner[1].size", "out_of_range", "at least 1"),
    ({"inner": [{}]}, "body.inner[0].size", "required", "required"),
    ({"inner": [{"size": 1, "x": 1}]}, "body.inner[0].x", "unknown_field", "no such field"),
    ({"headers": {"a": 1}}, "body.headers", "invalid_type", "got int"),
    ({"colours": "red"}, "body.colours", "unknown_field", "known ones are name, colour"),
]


@pytest.mark.parametrize(("values", "field", "code", "words"), CASES, ids=[str(case[0]) for case in CASES])
def test_a_wrong_value_is_told_by_place_code_and_a_way_out(
    values: dict[str, Any], field: str, code: str, words: str
) -> None:
    (fault,) = _faults(**values)
    assert (fault.field, fault.code) == (field, code)
    assert words in fault.message
    assert "`" not in fault.message


def test_a_value_is_not_repeated_in_the_message() -> None:
    (fault,) = _faults(colour="hunter2")
    assert "hunter2" not in fault.message


def test_all_wrong_fields_are_told_at_once() -> None:
    assert {fault.field for fault in _faults(name="", priority=0, extra=1)} == {
        "body.name",
        "body.priority",
        "body.extra",
    }


def test_a_misspelt_field_comes_with_the_one_that_was_meant() -> None:
    assert _faults(prioritty=1)[0].suggestion == "priority"


def test_the_code_of_the_first_fault_is_that_of_the_answer() -> None:
    with pytest.raises(Invalid) as refusal:
        decode({"name": ""}, Outer)
    assert (refusal.value.error_code, refusal.value.validation_errors[0].field) == ("required", "name")


def test_what_is_no_object_is_told_to_be_one() -> None:
    with pytest.raises(Invalid) as refusal:
        decode([], Outer)
    assert refusal.value.error_code == "invalid_type"


def test_numbers_may_come_as_text_where_all_is_text() -> None:
    assert decode({"name": "x", "priority": "7"}, Outer, is_text=True).priority == 7


def test_a_right_value_becomes_the_struct() -> None:
    assert decode({"name": "x", "colour": "red"}, Outer) == Outer(name="x", colour=Colour.RED)
