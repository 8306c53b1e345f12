"""From a string with `${ … }` in it to its parts."""

from typing import TypeAlias

from shared.expressions.expression import Expression, compile_expression
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import EXPRESSION_CHARACTERS
from shared.expressions.tokens import tokens_of

Parts: TypeAlias = tuple[str | Expression, ...]
OPENING = "${"
LITERAL = "$${"


def parts_of(text: str) -> Parts:
    """Texts and expressions in their order, no two texts side by side. Raises ExpressionFault."""
    parts: list[str | Expression] = []
    plain, place = "", 0
    while (found := text.find(OPENING, place)) >= 0:
        if text[found - 1 : found] == "$" and found > place:
            plain, place = plain + text[place : found - 1] + OPENING, found + len(OPENING)
            continue
        if plain := plain + text[place:found]:
            parts.append(plain)
        start = found + len(OPENING)
        end = _closing(text, start)
        parts.append(_compiled(text[start:end], start))
        plain, place = "", end + 1
    if plain := plain + text[place:]:
        parts.append(plain)
    return tuple(parts)


def _compiled(text: str, start: int) -> Expression:
    try:
        return compile_expression(text)
    except ExpressionFault as fault:
        raise fault.at("", start) from None


def _closing(text: str, start: int) -> int:
    """Where the `}` stands that belongs to the `${` before `start`: braces in maps and texts are not it."""
    depth = 0
    limit = min(len(text), start + EXPRESSION_CHARACTERS + 1)
    for token in tokens_of(text, start, limit):
        if token.text == "}" and depth == 0:
            return token.position
        depth += (token.text == "{") - (token.text == "}")
    if limit < len(text):
        raise ExpressionFault(f"An expression has at most {EXPRESSION_CHARACTERS} characters.", position=start)
    raise ExpressionFault("This ${ is not closed by }; write $${ for the characters themselves.", position=start - 2)
