"""One expression: compiled once, asked what it reads, evaluated many times."""

from collections.abc import Mapping
from typing import Final

from shared.expressions.allowance import Allowance
from shared.expressions.cost import Cost
from shared.expressions.explanation import explain_evaluation, explain_syntax
from shared.expressions.fault import ExpressionFault
from shared.expressions.library import cel
from shared.expressions.limits import EXPRESSION_CHARACTERS
from shared.expressions.missing import missing_variable
from shared.expressions.needs import Need, members_of, needs_of, pruned
from shared.expressions.parser import parse
from shared.expressions.paths import Path, path_of, walk
from shared.expressions.plain import plain

# What `execute` is known to raise; the library documents the first three.
REFUSALS: Final = (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError)
PANIC: Final = "PanicException"


class Expression:
    """Made by `compile_expression`. `text` is what was compiled, `names` the top-level variables that it reads."""

    __slots__ = ("_cost", "_needs", "_path", "_program", "names", "text")

    def __init__(self, text: str, program: cel.Program, needs: dict[str, Need], path: Path | None, cost: Cost) -> None:
        self.text: Final = text
        self.names: Final = frozenset(needs)
        self._program = program
        self._needs = needs
        self._path = path
        self._cost = cost

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def members(self, name: str) -> frozenset[str] | None:
        """The direct members of a variable that are read by name; None when any could be, as in `steps[params.k]`."""
        need = self._needs.get(name)
        return frozenset() if need is None else members_of(need)

    def evaluate(self, variables: Mapping[str, object], allowance: Allowance | None = None) -> object:
        """Plain JSON; it may share parts with the variables, so change neither. `allowance`: what this may take, when
        others share it. Raises ExpressionFault."""
        allowance = allowance or Allowance()
        allowance.require()
        for name in self.names:
            if name not in variables:
                raise missing_variable(name, variables)
        if self._path is not None:
            return plain(walk(self._path, variables), allowance)
        read = {name: pruned(variables[name], need) for name, need in self._needs.items()}
        self._cost.check(read, allowance)
        try:
            value = self._program.execute(read)
        except REFUSALS as error:
            raise explain_evaluation(error, self._needs, variables) from None
        except BaseException as error:
            # A panic of the Rust library derives from BaseException: it would pass every supervisor by.
            if type(error).__name__ != PANIC:
                raise
            raise ExpressionFault("The library for expressions failed at this one; write it in another way.") from None
        return plain(value, allowance)


def compile_expression(text: str) -> Expression:
    """Raises ExpressionFault with the position of what is wrong."""
    if len(text) > EXPRESSION_CHARACTERS:
        raise ExpressionFault(f"An expression has at most {EXPRESSION_CHARACTERS} characters; do it in two steps.")
    node = parse(text)
    try:
        program = cel.compile(text)
    except ValueError as error:
        raise explain_syntax(str(error), text) from None
    return Expression(text, program, needs_of(node), path_of(node), Cost(node, text))


def is_true(expression: Expression, variables: Mapping[str, object]) -> bool:
    """What an `if` says. Raises ExpressionFault when the value is neither true nor false."""
    value = expression.evaluate(variables)
    if not isinstance(value, bool):
        raise ExpressionFault("A condition is true or false; compare the value with something, as in x == 1.")
    return value
