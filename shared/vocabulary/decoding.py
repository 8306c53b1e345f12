"""Turns plain values into structs, and what msgspec says of a wrong one into faults that lead to the fix."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from heapq import nlargest, nsmallest
from itertools import islice
from os.path import commonprefix
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
FAULTS_TOLD = 100
HINTS = 10
# How like two names must be to be taken for one another, as difflib counts.
LIKE = 0.6
CHARACTERS_COMPARED = 64
NAMES_SEEN = 500
NAMES_SIFTED = 50
NAMES_COMPARED = 4


def decode(value: object, into: type[T], field: str = "", *, is_text: bool = False) -> T:
    """`value` as an `into`; `field` is the path of `value` in the request. Raises `Invalid` with one fault for each
    wrong field, FAULTS_TOLD at most. `is_text`: numbers and the like come as text, as they do in a query string."""
    try:
        return msgspec.convert(value, into, strict=not is_text)
    except msgspec.ValidationError as error:
        found = islice(_faults_by_field(value, into, field, is_text), FAULTS_TOLD)
        faults = [*found] or [explain(str(error), field, into)]
        raise invalid(faults) from None


def invalid(faults: list[FieldFault]) -> Invalid:
    """The first fault speaks for the answer."""
    return Invalid(faults[0].message, error_code=faults[0].code, validation_errors=faults)


def close_match(given: str, known: Iterable[str]) -> str | None:
    """What was probably meant; see `close_matches`."""
    return next(iter(close_matches(given, known, 1)), None)


def close_matches(given: str, known: Iterable[str], count: int) -> list[str]:
    """The likest first. Names can be a stranger's, and the library takes a millisecond for two that are long and alike:
    so only the first NAMES_SEEN are looked at, the likest NAMES_COMPARED of them are compared, and by their beginnings.
    Takes at most about 3 ms."""
    wanted = given[:CHARACTERS_COMPARED]
    seen = {name[:CHARACTERS_COMPARED]: name for name in islice(known, NAMES_SEEN)}
    like = [name for name in seen if 2 * min(len(name), len(wanted)) >= LIKE * (len(name) + len(wanted))]
    nearest = nsmallest(NAMES_SIFTED, like, key=lambda name: -len(commonprefix((name, wanted))))  # noqa: RUF071 (text)
    compared = difflib.SequenceMatcher(b=wanted, autojunk=False)
    shares = [(_share(compared, name), name) for name in nearest]
    likest = [name for share, name in nlargest(NAMES_COMPARED, shares) if share >= LIKE]
    return [seen[name] for name in difflib.get_close_matches(wanted, likest, n=count, cutoff=LIKE)]


class Hints:
    """What was probably meant, for the first faults of a request: whoever mends those writes the others right, too."""

    def __init__(self) -> None:
        self._left = HINTS

    def close_match(self, given: str, known: Iterable[str]) -> str | None:
        self._left -= 1
        return close_match(given, known) if self._left >= 0 else None


def _share(compared: difflib.SequenceMatcher[str], name: str) -> float:
    """Of characters that both have, wherever they stand."""
    compared.set_seq1(name)
    return compared.quick_ratio()


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
