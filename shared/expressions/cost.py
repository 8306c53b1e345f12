"""An upper bound of the work that an expression asks for, found before it begins: nothing can stop CEL midway.

The library copies the list at every step of `map` and `filter` and at every `+` of a chain, elements and all, so that
both cost the square of what they yield. Each bound is a convex function of the weight of the loop's variable: summed
over n elements that weigh W together, it is at most n times its value at 0 plus its value at W.
"""

import re
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from shared.expressions.allowance import Allowance
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import COMPREHENSION_DEPTH, ROUGH_UNITS, WORK_UNITS
from shared.expressions.paths import ABSENT, step
from shared.expressions.syntax import Call, Chain, Index, Link, Literal, Method, Name, Node, Operation, Select, key_of
from shared.expressions.weight import NODE, SMALL, weigh

STEP = 256
ITERATION = 1024
COPY_IN = 4
COPY_OUT = 3
SEARCH = 4
PATTERN_CHARACTER = 20_000
PATTERN_CLASS = 1_000_000
TRUTHS = frozenset({"&&", "||", "!", "==", "!=", "<", "<=", ">", ">=", "in"})
COUNTED = re.compile(r"\{[0-9, ]*?([0-9]+)[ ,]*\}")
SUMS = frozenset({"+", "-"})


class Bound(msgspec.Struct, frozen=True):
    """Of a value: at most so heavy, at most so many elements."""

    weight: int
    length: int = 0


Scope: TypeAlias = Mapping[str, Bound]
TRUTH = Bound(SMALL)


class Cost:
    """What is known of an expression's work before its variables are. Raises ExpressionFault for loops in loops."""

    def __init__(self, node: Node, text: str) -> None:
        self.node = node
        nodes = [*_nodes_of(node, 0)]
        self.size = len(nodes) * (NODE + STEP) + len(text)
        self.operands = len(nodes)
        self.mentions = sum(isinstance(each, Name) for each in nodes)
        self.is_plain = not any(_is_search_or_loop(each) for each in nodes)

    def check(self, variables: Mapping[str, object], allowance: Allowance) -> None:
        """Takes the work from the allowance. Raises ExpressionFault when it could be more than WORK_UNITS, or more than
        is left."""
        weights = {id(value): weigh(value) for value in variables.values()}
        weight = sum(weights.values())
        # Without loops nothing is copied more often than there are operands; most expressions need no closer look.
        at_most = COPY_IN * weight + (self.operands + COPY_OUT) * (self.mentions * weight + self.size)
        if self.is_plain and at_most <= ROUGH_UNITS:
            allowance.work(at_most)
            return
        work = _Work(variables, weights)
        try:
            work.add(COPY_IN * weight)
            work.add(COPY_OUT * work.bound(self.node, {}).weight)
        finally:
            # Also of what is refused: to find the bound is work too.
            allowance.units -= work.units
        allowance.require()


def _nodes_of(node: Node | Method, loops: int) -> Iterator[Node | Method]:
    yield node
    match node:
        case Operation():
            inner: tuple[Node | Method, ...] = node.operands
        case Call() | Method():
            inner = node.arguments
        case Chain():
            links = (link for link in node.links if not isinstance(link, Select))
            inner = (node.base, *(link.key if isinstance(link, Index) else link for link in links))
        case _:
            inner = ()
    if isinstance(node, Method) and node.variable:
        loops += 1
        if loops > COMPREHENSION_DEPTH:
            message = f"Comprehensions nest at most {COMPREHENSION_DEPTH} deep; do it in two steps."
            raise ExpressionFault(message, position=node.position)
    for each in inner:
        yield from _nodes_of(each, loops)


def _is_search_or_loop(node: Node | Method) -> bool:
    return isinstance(node, Method) and (node.variable is not None or node.function == "matches")


class _Work:
    """Adds up; `bound` gives the bound of a node's value and adds what finding it costs."""

    def __init__(self, variables: Mapping[str, object], weights: dict[int, int]) -> None:
        self.variables = variables
        self.weights = weights
        self.units = 0

    def add(self, units: int) -> None:
        self.units += units
        if self.units > WORK_UNITS:
            raise ExpressionFault(
                "This is too much work for one expression with values of this size; take less of them,"
                " or do it in two steps. `map` and `filter` cost the square of what they yield."
            )

    def bound(self, node: Node, scope: Scope) -> Bound:
        self.add(STEP)
        match node:
            case Literal():
                return Bound(NODE + len(node.text))
            case Name():
                return self.chain(node, (), scope)
            case Chain():
                return self.chain(node.base, node.links, scope)
            case Call():
                return self.call(node, scope)
        return self.operation(node, scope)

    def operation(self, node: Operation, scope: Scope) -> Bound:
        bounds = [self.bound(each, scope) for each in node.operands]
        weight = sum(each.weight for each in bounds)
        if node.sign in TRUTHS:
            self.add(weight)
            return TRUTH
        if node.sign == "?":
            return Bound(max(each.weight for each in bounds), max(each.length for each in bounds))
        if node.sign in SUMS:
            self.add(weight * len(bounds))
            return Bound(weight, sum(each.length for each in bounds))
        return Bound(NODE + weight, len(bounds)) if node.sign in {"[", "{"} else TRUTH

    def call(self, node: Call, scope: Scope) -> Bound:
        bounds = [self.bound(each, scope) for each in node.arguments]
        if node.function == "dyn":
            return bounds[0]
        weight = sum(each.weight for each in bounds)
        self.add(weight)
        # Bytes that are no text become three bytes each.
        return Bound(3 * weight + NODE) if node.function in {"string", "bytes"} else Bound(NODE)

    def chain(self, base: Node, links: tuple[Link, ...], scope: Scope) -> Bound:
        if isinstance(base, Name) and base.name not in scope:
            bound, links = self.known(base.name, links)
        else:
            bound = scope[base.name] if isinstance(base, Name) else self.bound(base, scope)
        for link in links:
            bound = self.follow(bound, link, scope)
        return bound

    def known(self, name: str, links: tuple[Link, ...]) -> tuple[Bound, tuple[Link, ...]]:
        """The exact bound of what the leading keys lead to, and the links that are left."""
        value = self.variables.get(name, ABSENT)
        place = 0
        while place < len(links) and (key := key_of(links[place])) is not None:
            value = step(value, key)
            place += 1
        self.add(STEP * place)
        return self.measured(value), links[place:]

    def measured(self, value: object) -> Bound:
        if id(value) not in self.weights:
            self.weights[id(value)] = 0 if value is ABSENT else weigh(value)
        return Bound(self.weights[id(value)], len(value) if isinstance(value, list | tuple | Mapping) else 0)

    def follow(self, bound: Bound, link: Link, scope: Scope) -> Bound:
        self.add(STEP)
        match link:
            case Select():
                return _any_part(bound)
            case Index():
                self.bound(link.key, scope)
                return _any_part(bound)
        if link.variable is not None:
            return self.loop(bound, link, scope)
        arguments = [self.bound(each, scope) for each in link.arguments]
        self.add(bound.weight + sum(each.weight for each in arguments))
        if link.function == "matches":
            self.add(_search(bound, link.arguments[0]))
        return TRUTH

    def loop(self, target: Bound, link: Method, scope: Scope) -> Bound:
        """Every turn costs what it costs for an element of no weight; one turn more bears the weight of all."""
        before = self.units
        yielded = self.turn(link, scope, 0)
        each = self.units - before + ITERATION
        self.add(each * target.length)
        yielded_heavy = self.turn(link, scope, target.weight)
        match link.function:
            case "map":
                made = Bound(NODE + yielded.weight * target.length + yielded_heavy.weight, target.length)
            case "filter":
                made = target
            case _:
                return TRUTH
        self.add(made.weight * made.length // 2)
        return made

    def turn(self, link: Method, scope: Scope, weight: int) -> Bound:
        inner = {**scope, str(link.variable): Bound(weight, weight // SMALL)}
        return [self.bound(each, inner) for each in link.arguments][-1]


def _any_part(bound: Bound) -> Bound:
    return Bound(bound.weight, bound.weight // SMALL)


def _search(target: Bound, pattern: Node) -> int:
    """Patterns are compiled anew each time. A class such as \\w is a table of all alphabets, and a count unrolls it."""
    text = pattern.text if isinstance(pattern, Literal) else ""
    compiled = PATTERN_CHARACTER * len(text) + PATTERN_CLASS * text.count("\\")
    repeated = 1
    for count in COUNTED.findall(text):
        repeated *= max(int(count[-6:]), 1)
    return repeated * (compiled + SEARCH * target.weight * len(text))
