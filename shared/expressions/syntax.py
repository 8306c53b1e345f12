"""What an expression is made of, once it is parsed. Chains are flat, so that no long expression nests deeply."""

from typing import TypeAlias

import msgspec


class Literal(msgspec.Struct, frozen=True):
    """`value` is known for plain text and plain whole numbers, None for every other literal."""

    text: str
    value: str | int | None = None


class Name(msgspec.Struct, frozen=True):
    """A variable, a type, or the variable of a comprehension."""

    name: str
    position: int


class Operation(msgspec.Struct, frozen=True):
    """Operands under one rank of operators: `+`, `*`, `<`, `&&`, `||`, `!`, `-`, `?`; `[` is a list and `{` a map.
    A chain of several signs of one rank carries the first of the rank, as `==` stands for `a < b in c`."""

    sign: str
    operands: tuple["Node", ...]


class Call(msgspec.Struct, frozen=True):
    """`size(x)`: a function without a target."""

    function: str
    arguments: tuple["Node", ...]
    position: int


class Select(msgspec.Struct, frozen=True):
    """`.name`"""

    name: str


class Index(msgspec.Struct, frozen=True):
    """`[key]`"""

    key: "Node"


class Method(msgspec.Struct, frozen=True):
    """`.size()`; `.map(x, …)` when `variable` is set: a comprehension, whose arguments leave its variable out."""

    function: str
    arguments: tuple["Node", ...]
    position: int
    variable: str | None = None


class Chain(msgspec.Struct, frozen=True):
    """What follows a value: `base.name[key].size()`."""

    base: "Node"
    links: tuple["Link", ...]


Node: TypeAlias = Literal | Name | Operation | Call | Chain
Link: TypeAlias = Select | Index | Method


def key_of(link: Link) -> str | int | None:
    """The key that the link follows, when it is written out."""
    match link:
        case Select():
            return link.name
        case Index(key=Literal(value=str() | int() as key)):
            return key
    return None
