"""Turns plain values into structs, and what msgspec says of a wrong one into faults that lead to the fix."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import msgspec

from shared.vocabulary.faults import FieldFault, Invalid

T = TypeVar("T")

PATH = re.compile(r" - at `(?:key` in `)?\$(?P<path>.*)`$", re.DOTALL)
UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(?P<name>.*)`")
LENGTH = re.compile(r"Expected `(?P<kind>\w+)` of length (?P<sign><=|>=|==) (?P<bound>\d+)")
BOUND = re.compile(r"Expected `\w+` (?P<sign>[<>]=?) (?P<bound>\S+)")
DATETIME_EXAMPLE = "2030-01-31T09:00:00Z"
UNITS = MappingProxyType({"str": "characters", "array": "items", "object": "entries", "bytes": "bytes"})


def decode(value: object, into: type[T], field: str = "", *, is_text: bool = False) -> T:
    """`value` as an `into`; `field` is the path of `value` in the request. Raises `Invalid` with one fault for each
    wrong field. `is_text`: numbers and the like come as text, as they do in a query string."""
    try:
        return msgspec.convert(value, into, strict=not is_text)
    except msgspec.ValidationError as error:
        faults = [*_faults_by_field(value, into, field, is_text)] or [explain(str(error), field, into)]
        raise invalid(faults) from None


def invalid(faults: list[FieldFault]) -> Invalid:
    """The first fault speaks for the answer."""
    return Invalid(faults[0].message, error_code=faults[0].code, validation_errors=faults)


def close_match(given: str, known: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(given[:100], [*known], n=1)), None)


def _faults_by_field(value: object, into: type[Any], field: str, is_text: bool) -> Iterator[FieldFault]:
    """msgspec stops at the first wrong field; a client wants to hear of all."""
    if not isinstance(value, Mapping) or not (isinstance(into, type) and issubclass(into, msgspec.Struct)):
        return
    known = {each.encode_name: each for each in msgspec.structs.fields(into)}
    for name in value:
        if name not in known and into.__struct_config__.forbid_unknown_fields:
            yield _unknown_field(_joined(field, str(name)), str(name), known)
    for name, each in known.items():
        path = _joined(field, name)
        if name not in value:
            if each.required:
                yield FieldFault(path, "This field is required.", "required")
            continue
        try:
            msgspec.convert(value[name], each.type, strict=not is_text)
        except msgspec.ValidationError as error:
            yield explain(str(error), path, each.type)


def explain(sentence: str, field: str, into: object) -> FieldFault:
    """One sentence of msgspec, without the values that it quotes."""
    if found := PATH.search(sentence):
        sentence, field = sentence[: found.start()], _joined(field, found["path"].removeprefix("."))
        field = field.replace("[...]", "")
    if unknown := UNKNOWN.fullmatch(sentence):
        return _unknown_field(_joined(field, unknown["name"]), unknown["name"], ())
    if missing := MISSING.fullmatch(sentence):
        return FieldFault(_joined(field, missing["name"]), "This field is required.", "required")
    if sentence.startswith("Invalid enum value"):
        return _invalid_choice(field, into)
    return _of_bounds(sentence, field) or _of_format(sentence, field)


def _of_bounds(sentence: str, field: str) -> FieldFault | None:
    if length := LENGTH.match(sentence):
        unit = UNITS.get(length["kind"], "items")
        if length["sign"] == "<=":
            return FieldFault(field, f"At most {length['bound']} {unit} are allowed.", "too_long")
        if length["bound"] == "1":
            return FieldFault(field, "This must not be empty.", "required")
        return FieldFault(field, f"At least {length['bound']} {unit} are needed.", "too_short")
    if bound := BOUND.match(sentence):
        words = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}[bound["sign"]]
        return FieldFault(field, f"This must be {words} {bound['bound']}.", "out_of_range")
    if "out of range" in sentence:
        return FieldFault(field, "This number is too large.", "out_of_range")
    return None


def _of_format(sentence: str, field: str) -> FieldFault:
    if "datetime" in sentence and ", got" not in sentence:
        message = f"This must be an existing instant with its offset from UTC, such as {DATETIME_EXAMPLE}."
        return FieldFault(field, message, "invalid_datetime", suggestion=DATETIME_EXAMPLE)
    if sentence.startswith("Invalid UUID"):
        return FieldFault(field, "This must be an id: a UUID of 36 characters.", "invalid_id")
    if "matching regex" in sentence:
        return FieldFault(field, f"{sentence}.", "invalid_format")
    return FieldFault(field, f"{sentence}.".replace("`", ""), "invalid_type")


def _unknown_field(path: str, name: str, known: Iterable[str]) -> FieldFault:
    listed = ", ".join(known)
    message = f"There is no such field; known ones are {listed}." if listed else "There is no such field."
    return FieldFault(path, message, "unknown_field", suggestion=close_match(name, known))


def _invalid_choice(field: str, into: object) -> FieldFault:
    choices = [str(choice) for choice in _choices(into)]
    message = f"This must be one of {', '.join(choices)}." if choices else "This is not one of the known values."
    return FieldFault(field, message, "invalid_choice")


def _choices(annotation: object) -> Iterator[object]:
    """The members of an enumeration or literal, also inside `X | None` and `Annotated[X, …]`."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        yield from (member.value for member in annotation)
    elif get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) is Annotated:
        yield from _choices(get_args(annotation)[0])
    else:
        for inner in get_args(annotation):
            yield from _choices(inner)


def _joined(field: str, name: str) -> str:
    return f"{field}{name}" if name.startswith("[") or not field or not name else f"{field}.{name}"
