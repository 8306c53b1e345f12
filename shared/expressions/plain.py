"""From what CEL yields to plain JSON, within bounds."""

import base64
import math
from datetime import UTC, datetime, timedelta

import msgspec

from shared.expressions.allowance import Allowance
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import OUTPUT_BYTES, OUTPUT_DEPTH

# JSON writes a character with six bytes at most.
SHORT_CHARACTERS = OUTPUT_BYTES // 8
INT_MIN, INT_MAX = -(2**63), 2**64 - 1


def plain(value: object, allowance: Allowance) -> object:
    """Instants become RFC 3339 text in UTC, durations a number of seconds, bytes base64 text, keys text.
    Raises ExpressionFault for what JSON cannot hold and for what is too large."""
    if value is None or isinstance(value, bool):
        return value
    made = _plain(value, 1)
    if isinstance(made, list | dict) or (isinstance(made, str) and len(made) > SHORT_CHARACTERS):
        allowance.give(check_size(made))
    return made


def check_size(value: object) -> int:
    """The length of the value as JSON, in bytes. Raises ExpressionFault when it is too large."""
    size = len(msgspec.json.encode(value))
    if size > OUTPUT_BYTES:
        raise ExpressionFault(f"The result is larger than {OUTPUT_BYTES // 1024} KiB; take less of it.")
    return size


def _plain(value: object, depth: int) -> object:
    if isinstance(value, str):
        return value if value.isascii() else _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _whole(value) if isinstance(value, int) else _real(value)
    if isinstance(value, dict):
        _check_depth(depth)
        return {_key(key): _plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        _check_depth(depth)
        return [_plain(each, depth + 1) for each in value]
    return _special(value)


def _check_depth(depth: int) -> None:
    if depth > OUTPUT_DEPTH:
        raise ExpressionFault(f"The result nests more than {OUTPUT_DEPTH} deep.")


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ExpressionFault("The result holds half a surrogate pair, which is no text.") from None
    return value


def _whole(value: int) -> int:
    if not INT_MIN <= value <= INT_MAX:
        raise ExpressionFault("The result leaves the range of 64 bits.")
    return value


def _real(value: float) -> float:
    if not math.isfinite(value):
        raise ExpressionFault("The result is infinite or no number, which JSON cannot hold.")
    return value


def _key(key: object) -> str:
    if isinstance(key, str):
        return _text(key)
    return str(key).lower() if isinstance(key, bool) else str(key)


def _special(value: object) -> object:
    match value:
        case datetime():
            aware = value if value.tzinfo else value.replace(tzinfo=UTC)
            return _instant(aware)
        case timedelta():
            seconds = value.total_seconds()
            return int(seconds) if seconds.is_integer() else seconds
        case bytes():
            return base64.b64encode(value).decode()
    raise ExpressionFault("The result is of a type that JSON cannot hold.")


def _instant(value: datetime) -> str:
    try:
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise ExpressionFault("The result is an instant outside the years 1 to 9999.") from None
