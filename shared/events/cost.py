"""PURE: how long a filter may take. Comprehensions within comprehensions cost the product of their lengths: three over
a list of 1,000 would hold the publisher for minutes (measured: 2 million steps a second)."""

import re
from collections.abc import Mapping
from typing import Any

# More can never be computed in time.
DEPTH_MAX = 2
# The longest list that fits into a filter's own text.
LITERAL_ITEMS = 512
STRINGS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"", re.DOTALL)
OPENING = re.compile(r"(\.\s*(?:all|exists|exists_one|existsOne|map|filter|transformList|transformMap)\s*)?\(|\)")


def steps_at_most(text: str, payload: Mapping[str, Any]) -> int:
    """0 for a filter without comprehensions."""
    depth = comprehension_depth(text)
    if depth == 0:
        return 0
    longest = _nodes(payload) if depth == 1 else max(_nodes(payload), LITERAL_ITEMS)
    return int(longest**depth)


def comprehension_depth(text: str) -> int:
    """How many comprehensions stand within one another."""
    opened: list[bool] = []
    deepest = 0
    for found in OPENING.finditer(STRINGS.sub("''", text)):
        if found.group() != ")":
            opened.append(found[1] is not None)
            deepest = max(deepest, sum(opened))
        elif opened:
            opened.pop()
    return deepest


def _nodes(value: object) -> int:
    if isinstance(value, Mapping):
        return 1 + sum(map(_nodes, value.values()))
    if isinstance(value, list | tuple):
        return 1 + sum(map(_nodes, value))
    return 1
