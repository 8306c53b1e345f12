"""The expressions of a step, each with the path at which it stands."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeAlias

import msgspec

from shared.expressions.allowance import Allowance
from shared.expressions.expression import Expression, compile_expression
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import EXPRESSION_CHARACTERS, EXPRESSIONS_PER_TEMPLATE
from shared.expressions.parts import parts_of
from shared.expressions.template import Template, compile_template
from shared.pipeline.placing import CODE, Placed, shown
from shared.tools.base import TEMPLATE_MARK, is_open
from shared.vocabulary.faults import FieldFault

# To compile a character takes up to 10 µs: nobody shall keep a gateway busy for seconds by one request.
CHARACTERS_OF_ALL = 20_000
# What each costs beside its length.
CHARACTERS_OF_EACH = 10
CHARACTERS_OF_A_FAULT = 100


class Text(msgspec.Struct, frozen=True):
    """`is_per_item`: it is computed anew for each item of a `foreach`."""

    field: str
    compiled: Expression | Template
    is_per_item: bool = False

    @property
    def names(self) -> frozenset[str]:
        return self.compiled.names

    @property
    def expressions(self) -> tuple[Expression, ...]:
        if isinstance(self.compiled, Template):
            return tuple(expression for _, expression in self.compiled.expressions)
        return (self.compiled,)

    @property
    def characters(self) -> int:
        return sum(len(expression.text) + CHARACTERS_OF_EACH for expression in self.expressions)

    def members(self, root: str) -> frozenset[str] | None:
        """None: any."""
        return self.compiled.members(root)

    def value(self, variables: Mapping[str, object], allowance: Allowance) -> object:
        """Raises ExpressionFault."""
        if isinstance(self.compiled, Template):
            return self.compiled.render(variables, allowance)
        return self.compiled.evaluate(variables, allowance)


Found: TypeAlias = Text | FieldFault


def texts_of(step: Placed) -> Iterator[Found]:
    """Everything of a step that is computed, and what of it is no expression."""
    condition, foreach = step.text("if"), step.entry.get("foreach")
    if condition is not None:
        yield compiled_condition(condition, f"{step.field}.if")
    if isinstance(foreach, str):
        yield compiled_condition(foreach, f"{step.field}.foreach")
    elif isinstance(foreach, list):
        yield from templates_in(foreach, f"{step.field}.foreach")
    yield from _counted(templates_in(step.arguments, f"{step.field}.with", is_per_item=True), f"{step.field}.with")


class Budget:
    """What one request may have compiled."""

    def __init__(self) -> None:
        self._characters = CHARACTERS_OF_ALL
        self._has_faults = False

    def within(self, found: Iterable[Found], field: str) -> Iterator[Found]:
        """As much of it as is left; then, unless there are faults enough, that it is too much. `field`: what all of
        it is a part of."""
        for each in found if self._characters >= 0 else ():
            yield each
            self._spend(each)
            if self._characters < 0:
                if not self._has_faults:
                    yield too_long(field)
                return

    def allows(self, texts: Iterable[str]) -> bool:
        """For what is compiled elsewhere: whether it may be."""
        self._characters -= sum(len(text) + CHARACTERS_OF_EACH for text in texts)
        return self._characters >= 0

    def _spend(self, each: Found) -> None:
        if isinstance(each, Text):
            self._characters -= each.characters
        else:
            self._has_faults = True
            self._characters -= CHARACTERS_OF_A_FAULT + min(each.position or 0, EXPRESSION_CHARACTERS)


def too_long(field: str) -> FieldFault:
    return FieldFault(field, f"All expressions together have at most {CHARACTERS_OF_ALL} characters.", "too_long")


def templates_in(value: object, field: str, *, is_per_item: bool = False) -> Iterator[Found]:
    """Each text with an expression in it, so that each is judged by itself."""
    match value:
        case dict():
            for name, each in value.items():
                yield from templates_in(each, f"{field}.{shown(name)}", is_per_item=is_per_item)
        case list():
            for index, each in enumerate(value):
                yield from templates_in(each, f"{field}[{index}]", is_per_item=is_per_item)
        case str() if is_open(value):
            yield compiled_template(value, field, is_per_item=is_per_item)


def _counted(found: Iterator[Found], field: str) -> Iterator[Found]:
    expressions = 0
    for each in found:
        yield each
        expressions += len(each.expressions) if isinstance(each, Text) else 1
        if expressions > EXPRESSIONS_PER_TEMPLATE:
            message = f"An input holds at most {EXPRESSIONS_PER_TEMPLATE} expressions; split it between two steps."
            yield FieldFault(field, message, CODE)
            return


def compiled_template(value: str, field: str, *, is_per_item: bool = False) -> Found:
    try:
        return Text(field, compile_template(value), is_per_item)
    except ExpressionFault as fault:
        return FieldFault(field, fault.message, CODE, fault.position)


def compile_condition(text: str) -> Expression:
    """What an `if` or `foreach` says: a bare expression, or one `${…}`. Raises ExpressionFault."""
    if not text.startswith(TEMPLATE_MARK):
        return compile_expression(text)
    only, *more = parts_of(text)
    if more or not isinstance(only, Expression):
        raise ExpressionFault("This is one expression, alone: write a == 1 or ${a == 1}.", position=0)
    return only


def compiled_condition(text: str, field: str) -> Found:
    try:
        return Text(field, compile_condition(text))
    except ExpressionFault as fault:
        return FieldFault(field, fault.message, CODE, fault.position)
