"""Expressions that only follow keys, as most do: answered without CEL, which copies what it is given."""

from collections.abc import Mapping
from typing import TypeAlias

from shared.expressions.functions import TYPES
from shared.expressions.missing import missing_member
from shared.expressions.needs import Key
from shared.expressions.syntax import Chain, Name, Node, key_of

Path: TypeAlias = tuple[Key, ...]
ABSENT = object()


def path_of(node: Node) -> Path | None:
    """The keys that the expression follows, its variable first; None when it does anything else."""
    match node:
        case Name(name=name) if name not in TYPES:
            return (name,)
        case Chain(base=Name(name=name), links=links) if name not in TYPES:
            keys = [key for link in links if (key := key_of(link)) is not None]
            return (name, *keys) if len(keys) == len(links) else None
    return None


def walk(path: Path, variables: Mapping[str, object]) -> object:
    """Raises ExpressionFault at the first key that leads nowhere."""
    value: object = variables
    for place, key in enumerate(path):
        found = step(value, key)
        if found is ABSENT:
            raise missing_member(path[:place], key, value)
        value = found
    return value


def step(value: object, key: Key) -> object:
    if isinstance(value, Mapping):
        return value.get(key, ABSENT)
    if isinstance(value, list | tuple) and isinstance(key, int):
        return value[key] if 0 <= key < len(value) else ABSENT
    return ABSENT
