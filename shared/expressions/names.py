"""Whether the names that a template reads exist, asked before anything runs."""

from collections.abc import Collection, Mapping

from shared.expressions.expression import Expression
from shared.expressions.missing import missing_member, missing_variable
from shared.expressions.template import Template, expressions_in


def check_names(value: Template | Expression, known: Mapping[str, Collection[str] | None]) -> None:
    """`known` gives each variable its members, None for any. Raises ExpressionFault with the path of the first
    expression that reads another."""
    for path, expression in expressions_in(value):
        for name in sorted(expression.names):
            if name not in known:
                raise missing_variable(name, known).at(path)
            _check_members(expression, path, name, known[name])


def _check_members(expression: Expression, path: str, name: str, known: Collection[str] | None) -> None:
    if known is None:
        return
    for member in sorted(expression.members(name) or ()):
        if member not in known:
            raise missing_member((name,), member, dict.fromkeys(known)).at(path)
