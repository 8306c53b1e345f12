"""How heavy a value is for CEL. One unit is about 0.3 ns of copying: the figures are measured, see README.md."""

from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import VARIABLE_DEPTH

SMALL = 512
NODE = 1024


def weigh(value: object, depth: int = 1) -> int:
    """Raises ExpressionFault for a value so deep that the library's recursion would not be safe."""
    if isinstance(value, str | bytes):
        return NODE + len(value)
    if isinstance(value, dict):
        _check(depth)
        return NODE * (1 + len(value)) + sum([_key(key) + weigh(each, depth + 1) for key, each in value.items()])
    if isinstance(value, list | tuple):
        _check(depth)
        return NODE + sum([weigh(each, depth + 1) for each in value])
    return SMALL if value is None or isinstance(value, int) else NODE


def _key(key: object) -> int:
    return len(key) if isinstance(key, str) else 0


def _check(depth: int) -> None:
    if depth > VARIABLE_DEPTH:
        raise ExpressionFault(f"A variable nests more than {VARIABLE_DEPTH} deep; no expression can read it whole.")
