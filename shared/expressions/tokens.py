"""From the text of an expression to its tokens, by the lexical rules of CEL (language definition, "Syntax")."""

import re
from collections.abc import Iterator

import msgspec

from shared.expressions.fault import ExpressionFault

TOKEN = re.compile(
    r"""
    (?P<skip> [\t\n\f\r\ ]+ | //[^\n]* )
  | (?P<text> (?P<bytes>[bB])?
        (?: [rR] (?: \"{3} (?s:.*?) \"{3} | '{3} (?s:.*?) '{3} | "[^"\n\r]*" | '[^'\n\r]*' )
          | \"{3} (?s:[^\\]|\\.)*? \"{3} | '{3} (?s:[^\\]|\\.)*? '{3}
          | " (?:[^"\\\n\r]|\\.)* " | ' (?:[^'\\\n\r]|\\.)* ' ) )
  | (?P<number> 0x[0-9a-fA-F]+[uU]? | [0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)? | [0-9]+[eE][+-]?[0-9]+ | [0-9]+[uU]? )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<sign> == | != | <= | >= | && | \|\| | [-+*/%<>!?:.,()\[\]{}] )
    """,
    re.VERBOSE,
)
OPENING = re.compile(r"[bB]?[rR]?(\"\"\"|'''|\"|')")


class Token(msgspec.Struct, frozen=True):
    """`kind` is text, number, name, sign or end."""

    kind: str
    text: str
    position: int


def tokens_of(text: str, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """Every token of `text[start:end]`, positions counted in `text`. Raises ExpressionFault at what is no token."""
    position, stop = start, len(text) if end is None else end
    while position < stop:
        found = TOKEN.match(text, position, stop)
        if found is None:
            raise _no_token(text, position)
        # The inner group of a bytes literal never closes last, so `lastgroup` names the outer one.
        kind = str(found.lastgroup)
        if kind != "skip":
            yield Token(kind, found.group(), position)
        position = found.end()
    yield Token("end", "", stop)


def _no_token(text: str, position: int) -> ExpressionFault:
    if opening := OPENING.match(text, position):
        return ExpressionFault(f"This text is not closed: {opening[1]} is missing.", position=position)
    sign = text[position]
    if sign == "=":
        return ExpressionFault("Equality is written == in an expression.", position=position)
    if sign in "&|":
        return ExpressionFault("And is written &&, or is written ||.", position=position)
    return ExpressionFault(
        "This character has no meaning in an expression outside of text in quotes.", position=position
    )
