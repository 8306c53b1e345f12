"""What of its variables an expression reads, so that nothing else has to be handed to it."""

from collections.abc import Mapping
from typing import TypeAlias

from shared.expressions.functions import TYPES
from shared.expressions.syntax import Call, Chain, Index, Link, Literal, Method, Name, Node, Operation, Select

Key: TypeAlias = str | int


class Need:
    """What is read of one value: all of it, some members by key, something of each element, or only what kind it is."""

    __slots__ = ("children", "each", "is_looked_at", "is_whole")

    def __init__(self) -> None:
        self.is_whole = False
        self.is_looked_at = False
        self.children: dict[Key, Need] = {}
        self.each: Need | None = None

    def child(self, key: Key) -> "Need":
        return self.children.setdefault(key, Need())

    @property
    def is_nothing(self) -> bool:
        return not (self.is_whole or self.is_looked_at or self.children or self.each)

    def element(self) -> "Need":
        self.each = self.each or Need()
        return self.each


class Subset:
    """Elements of a value whose places are no longer known: what `filter` yields."""

    __slots__ = ("of",)

    def __init__(self, of: Need) -> None:
        self.of = of


Seen: TypeAlias = Need | Subset | None
Scope: TypeAlias = Mapping[str, Need | None]


def needs_of(node: Node) -> dict[str, Need]:
    """By the name of each variable."""
    reader = _Reader()
    reader.use(node, {})
    return reader.needs


class _Reader:
    def __init__(self) -> None:
        self.needs: dict[str, Need] = {}

    def use(self, node: Node, scope: Scope) -> None:
        """The value of the node itself is read, not only a part of it."""
        _take_whole(self.look(node, scope))

    def look(self, node: Node, scope: Scope) -> Seen:
        """What the node is a part of, when it is a part of a variable."""
        match node:
            case Literal():
                pass
            case Name():
                return self.variable(node.name, scope)
            case Chain():
                return self.chain(node, scope)
            case Call(function="has") | Operation(sign="==" | "!=", operands=(_, Literal(text="null"))):
                _take_kind(self.look(_parts_of(node)[0], scope))
            case Call(function="size"):
                _take_places(self.look(node.arguments[0], scope))
            case _:
                for each in _parts_of(node):
                    self.use(each, scope)
        return None

    def variable(self, name: str, scope: Scope) -> Seen:
        if name in scope:
            return scope[name]
        return None if name in TYPES else self.needs.setdefault(name, Need())

    def chain(self, node: Chain, scope: Scope) -> Seen:
        seen = self.look(node.base, scope)
        for link in node.links:
            seen = self.follow(seen, link, scope)
        return seen

    def follow(self, seen: Seen, link: Link, scope: Scope) -> Seen:
        match link:
            case Select():
                return _part(seen, link.name)
            case Index(key=Literal(value=str() | int() as key)):
                return _part(seen, key)
            case Index():
                self.use(link.key, scope)
            case Method(function="size"):
                _take_places(seen)
                return None
            case Method(variable=str()):
                return self.comprehension(seen, link, scope)
            case Method():
                for each in link.arguments:
                    self.use(each, scope)
        _take_whole(seen)
        return None

    def comprehension(self, seen: Seen, link: Method, scope: Scope) -> Seen:
        target = seen.of if isinstance(seen, Subset) else seen
        inner = {**scope, str(link.variable): target.element() if target else None}
        for each in link.arguments:
            self.use(each, inner)
        return Subset(target) if target and link.function == "filter" else None


def _parts_of(node: Call | Operation) -> tuple[Node, ...]:
    return node.arguments if isinstance(node, Call) else node.operands


def _take_whole(seen: Seen) -> None:
    if seen is not None:
        (seen.of if isinstance(seen, Subset) else seen).is_whole = True


def _take_kind(seen: Seen) -> None:
    if isinstance(seen, Need):
        seen.is_looked_at = True


def _take_places(seen: Seen) -> None:
    """How many there are is read, and nothing of them."""
    if isinstance(seen, Need):
        seen.element()


def _part(seen: Seen, key: Key) -> Seen:
    match seen:
        case Need():
            return seen.child(key)
        case Subset() if isinstance(key, int):
            return seen.of.element()
    return None


def members_of(need: Need) -> frozenset[str] | None:
    """The members read by name; None when any could be."""
    if need.is_whole or need.each is not None:
        return None
    names = frozenset(key for key in need.children if isinstance(key, str))
    return names if len(names) == len(need.children) else None


def pruned(value: object, need: Need) -> object:
    """The value with nothing in it but what is read, of the same type and in the same places."""
    if need.is_whole:
        return value
    if isinstance(value, dict):
        return _members(value, need)
    if isinstance(value, list | tuple):
        return _elements(value, need)
    return value


def _members(value: dict[object, object], need: Need) -> dict[object, object]:
    if need.each is not None:
        # A comprehension over a map sees its keys.
        return {key: pruned(each, need.children[key]) if key in need.children else None for key, each in value.items()}
    return {key: pruned(value[key], child) for key, child in need.children.items() if key in value}


def _elements(value: list[object] | tuple[object, ...], need: Need) -> object:
    places = {key: child for key, child in need.children.items() if isinstance(key, int)}
    if need.each is None:
        length = min(len(value), max(places, default=-1) + 1)
        return [pruned(value[place], places[place]) if place in places else None for place in range(length)]
    if places:
        return value
    return [None] * len(value) if need.each.is_nothing else [pruned(each, need.each) for each in value]
