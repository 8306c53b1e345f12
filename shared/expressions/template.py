"""Values with expressions in their strings: `{"url": "${params.base}/items", "limit": "${params.limit}"}`."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from shared.expressions.allowance import Allowance
from shared.expressions.expression import Expression
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import EXPRESSIONS_PER_TEMPLATE, TEMPLATE_DEPTH
from shared.expressions.parts import OPENING, Parts, parts_of
from shared.expressions.plain import check_size

Variables: TypeAlias = Mapping[str, object]
Render: TypeAlias = Callable[[Variables, Allowance], object]
Found: TypeAlias = list[tuple[str, Expression]]


class Template:
    """Made by `compile_template`. `expressions` are (path, expression) in their order; `names` the variables of all."""

    __slots__ = ("_render", "_value", "expressions", "is_constant", "names")

    def __init__(self, value: object, render: Render | None, expressions: tuple[tuple[str, Expression], ...]) -> None:
        self._value = value
        self._render = render
        self.expressions: Final = expressions
        self.is_constant: Final = render is None
        self.names: Final = frozenset[str]().union(*(expression.names for _, expression in expressions))

    def members(self, name: str) -> frozenset[str] | None:
        """As `Expression.members`, for all expressions together."""
        read: set[str] = set()
        for _, expression in self.expressions:
            members = expression.members(name)
            if members is None:
                return None
            read |= members
        return frozenset(read)

    def render(self, variables: Variables, allowance: Allowance | None = None) -> object:
        """Plain JSON. A template without expressions gives the very value that it was compiled from, and constant parts
        are shared in the same way: change neither. All expressions share one allowance, which may be given. Raises
        ExpressionFault with the path of the string at fault."""
        if self._render is None:
            return self._value
        value = self._render(variables, allowance or Allowance())
        check_size(value)
        return value


def compile_template(value: object) -> Template:
    """Any JSON value. Raises ExpressionFault with the path and the position of what is wrong."""
    found: Found = []
    render, constant = _compiled(value, "", 1, found)
    return Template(constant, render, tuple(found))


def _compiled(value: object, path: str, depth: int, found: Found) -> tuple[Render | None, object]:
    """How the value is rendered, or None and the value itself."""
    if depth > TEMPLATE_DEPTH + 1:
        raise ExpressionFault(f"A value nests at most {TEMPLATE_DEPTH} deep.", path=path)
    match value:
        case str() if OPENING in value:
            return _compiled_text(value, path, found)
        case Mapping():
            return _compiled_map(value, path, depth, found)
        case list() | tuple():
            return _compiled_list(value, path, depth, found)
    return None, value


def _compiled_text(text: str, path: str, found: Found) -> tuple[Render | None, object]:
    try:
        parts = parts_of(text)
    except ExpressionFault as fault:
        raise fault.at(path) from None
    expressions = [part for part in parts if isinstance(part, Expression)]
    if not expressions:
        return None, "".join(str(part) for part in parts)
    found += ((path, expression) for expression in expressions)
    if len(found) > EXPRESSIONS_PER_TEMPLATE:
        raise ExpressionFault(f"A template holds at most {EXPRESSIONS_PER_TEMPLATE} expressions.", path=path)
    is_one = len(parts) == 1
    return (_value_renderer(expressions[0], path) if is_one else _text_renderer(parts, path)), None


def _value_renderer(only: Expression, path: str) -> Render:
    def render_value(variables: Variables, allowance: Allowance) -> object:
        try:
            return only.evaluate(variables, allowance)
        except ExpressionFault as fault:
            raise fault.at(path) from None

    return render_value


def _text_renderer(parts: Parts, path: str) -> Render:
    def render_text(variables: Variables, allowance: Allowance) -> object:
        try:
            return "".join(
                part if isinstance(part, str) else _written(part.evaluate(variables, allowance)) for part in parts
            )
        except ExpressionFault as fault:
            raise fault.at(path) from None

    return render_text


def _written(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _compiled_map(value: Mapping[object, object], path: str, depth: int, found: Found) -> tuple[Render | None, object]:
    compiled = {key: _compiled(each, _member(path, key), depth + 1, found) for key, each in value.items()}
    if all(render is None and constant is value[key] for key, (render, constant) in compiled.items()):
        return None, value
    constants = {key: constant for key, (_, constant) in compiled.items()}
    renders = [(key, render) for key, (render, _) in compiled.items() if render]
    if not renders:
        return None, constants
    return lambda variables, left: {**constants, **{key: render(variables, left) for key, render in renders}}, None


def _compiled_list(
    value: list[object] | tuple[object, ...], path: str, depth: int, found: Found
) -> tuple[Render | None, object]:
    compiled = [_compiled(each, f"{path}[{place}]", depth + 1, found) for place, each in enumerate(value)]
    if all(render is None and constant is value[place] for place, (render, constant) in enumerate(compiled)):
        return None, value
    if all(render is None for render, _ in compiled):
        return None, [constant for _, constant in compiled]
    return lambda variables, left: [
        render(variables, left) if render else constant for render, constant in compiled
    ], None


def _member(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def expressions_in(value: Template | Expression) -> Iterator[tuple[str, Expression]]:
    """(path, expression) of either."""
    if isinstance(value, Template):
        yield from value.expressions
    else:
        yield "", value
