"""Strict JSON: what Python's reader lets pass and Postgres or a second reader would not is refused here."""

import json
from collections import Counter
from math import isfinite
from typing import NoReturn, TypeAlias

import msgspec

from shared.vocabulary.faults import BadRequest, Invalid, invalid_field
from shared.vocabulary.limits import JSON_DEPTH, JSON_NODES, TEXT_CHARACTERS

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
NUL = "\x00"

# The way from a value up to the root, one key or index at a time.
Way: TypeAlias = tuple["Way", str | int] | None


class Body(msgspec.Struct, frozen=True):
    """`fault`: well-formed JSON, of which one value cannot be stored."""

    tree: object
    fault: Invalid | None = None


def read_json(body: bytes, nodes_max: int = JSON_NODES) -> Body:
    """Raises BadRequest for what is no JSON, or JSON that two readers could understand differently."""
    try:
        tree = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        message = f"The body is not UTF-8: byte {error.start} begins no character."
        raise BadRequest(message, error_code="invalid_encoding") from None
    except json.JSONDecodeError as error:
        message = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise BadRequest(message, error_code="invalid_json") from None
    except RecursionError:
        raise _too_complex(nodes_max) from None
    except ValueError:
        # The reader's own limit of 4300 digits.
        return Body(None, invalid_field("", "A number has too many digits.", "out_of_range"))
    return Body(tree, _first_fault(tree, nodes_max))


def _first_fault(tree: object, nodes_max: int) -> Invalid | None:
    """Walks the tree without recursion; the names on the way are only put together when something is wrong."""
    waiting: list[tuple[object, int, Way]] = [(tree, 1, None)]
    nodes = 1
    fault: Invalid | None = None
    while waiting:
        value, depth, way = waiting.pop()
        if isinstance(value, dict | list):
            nodes += len(value)
            if depth > JSON_DEPTH or nodes > nodes_max:
                raise _too_complex(nodes_max)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                if isinstance(key, str):
                    fault = fault or _fault_of_text(key, way)
                waiting.append((item, depth + 1, (way, key)))
        elif isinstance(value, str):
            fault = fault or _fault_of_text(value, way)
        elif isinstance(value, float):
            _check_finite(value)
        elif isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX:
            fault = fault or invalid_field(_path(way), "A whole number must fit into 64 bits.", "out_of_range")
    return fault


def _fault_of_text(text: str, way: Way) -> Invalid | None:
    if not text.isascii():
        _check_encodable(text)
    if NUL in text:
        return invalid_field(_path(way), "The character U+0000 cannot be stored.", "invalid_character")
    if len(text) > TEXT_CHARACTERS:
        return invalid_field(_path(way), f"A text has at most {TEXT_CHARACTERS} characters.", "out_of_range")
    return None


def _check_finite(number: float) -> None:
    if not isfinite(number):
        raise BadRequest("The body holds a number beyond the range of JSON readers.", error_code="invalid_json")


def _check_encodable(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "The body holds half of a surrogate pair, which is no character."
        raise BadRequest(message, error_code="invalid_encoding") from None


def _path(way: Way) -> str:
    path = ""
    while way is not None:
        way, key = way
        path = f"[{key}]{path}" if isinstance(key, int) else f".{key}{path}"
    return path.removeprefix(".").replace(NUL, "\ufffd")


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        message = f"The key {twice[:100]!r} is given twice in one object."
        raise BadRequest(message, error_code="duplicate_key")
    return found


def _no_constant(name: str) -> NoReturn:
    raise BadRequest(f"{name} is not JSON.", error_code="invalid_json")


def _too_complex(nodes_max: int) -> BadRequest:
    message = f"The body is nested deeper than {JSON_DEPTH} levels or holds more than {nodes_max} values."
    return BadRequest(message, error_code="json_too_complex")


_DECODER = json.JSONDecoder(object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
