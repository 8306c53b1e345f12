"""What the library says of an expression, without the values that it repeats."""

import re
from collections import deque
from collections.abc import Iterator, Mapping

from shared.expressions.fault import ExpressionFault
from shared.expressions.missing import missing_member
from shared.expressions.needs import Key, Need
from shared.expressions.paths import ABSENT, step

PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ")
MIXED = re.compile(r"Unsupported operation: (\w+) ([-+*/%]) (\w+)\. ")
FUNCTION = re.compile(r"Function '(\w+)' error: ")
# All functions are known when an expression is compiled, so that only the type of its target can be wrong.
NO_OVERLOAD = re.compile(r"Undefined variable or function: '(\w+)'")
OF_TYPE = ("No such overload", "Unexpected type", "Cannot mix", "Unsupported", "Value of type")
CONVERSION = "convert with string(x), int(x), uint(x) or double(x)"


def explain_syntax(sentence: str, text: str) -> ExpressionFault:
    """For what our own grammar lets pass: literals that are none, and reserved words."""
    found = PLACE.search(sentence)
    position = _position(text, int(found[1]), int(found[2])) if found else None
    said = sentence[found.end() :] if found else ""
    if said.startswith("reserved identifier"):
        message = 'This word is reserved and can be no variable; inside a map write it as ["…"].'
    elif "int literal" in said or "double literal" in said:
        message = "This number leaves the range of 64 bits."
    elif "literal" in said or "token recognition" in said:
        message = "This text holds an escape that means nothing; write \\\\ for a backslash."
    else:
        message = "This cannot be read as an expression."
    return ExpressionFault(message, position=position)


def _position(text: str, line: int, column: int) -> int:
    before = sum(len(each) + 1 for each in text.split("\n")[: line - 1])
    return min(before + column - 1, len(text))


def explain_evaluation(error: Exception, needs: Mapping[str, Need], variables: Mapping[str, object]) -> ExpressionFault:
    if isinstance(error, LookupError) and (absent := _absent(error, needs, variables)):
        return absent
    return ExpressionFault(_of_type(error) or _of_sentence(str(error)))


def _of_type(error: Exception) -> str | None:
    match error:
        case LookupError():
            return "A key or place is asked for that is not there; ask has(…) or size(…) first."
        case ZeroDivisionError():
            return "This divides by zero; ask first whether the divisor is 0."
        case OverflowError():
            return "A number leaves the range of its type."
    return None


def _of_sentence(said: str) -> str:
    if mixed := MIXED.match(said):
        return f"`{mixed[2]}` takes no {mixed[1]} with a {mixed[3]}; {CONVERSION}."
    if function := FUNCTION.match(said):
        return f"`{function[1]}` cannot do this with the value that it is given."
    if no_overload := NO_OVERLOAD.match(said):
        return f"`{no_overload[1]}` takes no value of this type; {CONVERSION}."
    if said.startswith(OF_TYPE):
        return f"A value is of another type than is asked for here; {CONVERSION}."
    if said.startswith("Conversion Error"):
        return "A variable holds a value that an expression cannot read."
    return "This cannot be evaluated with the values that are given."


def _absent(error: LookupError, needs: Mapping[str, Need], variables: Mapping[str, object]) -> ExpressionFault | None:
    """The path that leads nowhere, when it is written out. CEL tells the key alone, and that may come from the data."""
    told = str(error.args[0]) if error.args else ""
    for owner, key, value in _leading_nowhere(needs, variables):
        if told in {key, f"index out of bounds: {key}"}:
            return missing_member(owner, key, value)
    return None


def _leading_nowhere(
    needs: Mapping[str, Need], variables: Mapping[str, object]
) -> Iterator[tuple[tuple[Key, ...], Key, object]]:
    """(owner, key, what the owner is), the shortest paths first."""
    waiting: deque[tuple[tuple[Key, ...], object, Need]] = deque(
        ((name,), variables[name], need) for name, need in needs.items()
    )
    while waiting:
        path, value, need = waiting.popleft()
        for key, child in need.children.items():
            found = step(value, key)
            if found is ABSENT:
                yield path, key, value
            else:
                waiting.append(((*path, key), found, child))
