"""From tokens to nodes, by the grammar of CEL (language definition, "Syntax") without messages."""

from collections.abc import Mapping

from shared.expressions.fault import ExpressionFault
from shared.expressions.functions import COMPREHENSIONS, FUNCTIONS, METHODS
from shared.expressions.limits import EXPRESSION_DEPTH
from shared.expressions.syntax import Call, Chain, Index, Link, Literal, Method, Name, Node, Operation, Select
from shared.expressions.tokens import Token, tokens_of
from shared.vocabulary.decoding import close_match

# From the loosest to the tightest.
RANKS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
CONSTANTS = frozenset({"true", "false", "null"})
NO_NAMES = CONSTANTS | {"in"}
INT_DIGITS = 18
PAIR = 2


def parse(text: str) -> Node:
    """Raises ExpressionFault with the position of what cannot be read."""
    return _Parser([*tokens_of(text)]).whole()


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.place = 0
        self.depth = 0

    def whole(self) -> Node:
        node = self.expression()
        if self.next.kind != "end":
            raise self.unexpected("the end")
        return node

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def takes(self, *signs: str) -> bool:
        """Whether the next token is one of the signs; it is taken then."""
        is_one = self.next.text in signs
        self.place += is_one
        return is_one

    def expect(self, sign: str) -> None:
        if not self.takes(sign):
            raise self.unexpected(sign)

    def unexpected(self, wanted: str) -> ExpressionFault:
        if self.next.kind == "end":
            return ExpressionFault(f"The expression ends where {wanted} should stand.", position=self.next.position)
        return ExpressionFault(f"Here {wanted} should stand.", position=self.next.position)

    def expression(self) -> Node:
        self.depth += 1
        if self.depth > EXPRESSION_DEPTH + 1:
            raise ExpressionFault(
                f"An expression nests at most {EXPRESSION_DEPTH} deep; do it in two steps.", position=self.next.position
            )
        node = self.ranked(0)
        if self.takes("?"):
            first = self.ranked(0)
            self.expect(":")
            node = Operation("?", (node, first, self.expression()))
        self.depth -= 1
        return node

    def ranked(self, rank: int) -> Node:
        if rank == len(RANKS):
            return self.unary()
        operands = [self.ranked(rank + 1)]
        sign = self.next.text
        while self.takes(*RANKS[rank]):
            operands.append(self.ranked(rank + 1))
        if len(operands) == 1:
            return operands[0]
        return Operation(sign if len(operands) == PAIR else RANKS[rank][0], tuple(operands))

    def unary(self) -> Node:
        sign = self.next.text if self.next.text in {"!", "-"} else None
        while sign and self.takes(sign):
            pass
        node = self.member()
        return Operation("!" if sign == "!" else "*", (node,)) if sign else node

    def member(self) -> Node:
        base = self.primary()
        links: list[Link] = []
        while self.next.text in {".", "["}:
            links.append(self.select() if self.take().text == "." else self.index())
        return Chain(base, tuple(links)) if links else base

    def index(self) -> Index:
        key = self.expression()
        self.expect("]")
        return Index(key)

    def select(self) -> Link:
        token = self.name()
        if not self.takes("("):
            return Select(token.text)
        arguments = self.listed(")")
        variable = arguments[0] if arguments else None
        if token.text in COMPREHENSIONS and isinstance(variable, Name):
            _check_count(token, COMPREHENSIONS[token.text], len(arguments) - 1)
            return Method(token.text, tuple(arguments[1:]), token.position, variable.name)
        _check_function(token, METHODS, len(arguments))
        if token.text == "matches":
            _check_pattern(token, arguments[0])
        return Method(token.text, tuple(arguments), token.position)

    def name(self) -> Token:
        if self.next.kind != "name" or self.next.text in NO_NAMES:
            raise self.unexpected("a name")
        return self.take()

    def primary(self) -> Node:
        if self.next.kind in {"text", "number"} or self.next.text in CONSTANTS:
            return _literal(self.take())
        if self.takes("("):
            node = self.expression()
            self.expect(")")
            return node
        if self.takes("["):
            return Operation("[", tuple(self.listed("]")))
        if self.takes("{"):
            return Operation("{", tuple(self.entries()))
        return self.name_or_call()

    def name_or_call(self) -> Node:
        if self.next.kind != "name" or self.next.text in NO_NAMES:
            raise self.unexpected("a value")
        token = self.take()
        if not self.takes("("):
            return Name(token.text, token.position)
        arguments = tuple(self.listed(")"))
        if token.text == "has":
            _check_has(token, arguments)
        else:
            _check_function(token, FUNCTIONS, len(arguments))
        return Call(token.text, arguments, token.position)

    def listed(self, closing: str) -> list[Node]:
        items: list[Node] = []
        while not self.takes(closing):
            items.append(self.expression())
            if not self.takes(","):
                self.expect(closing)
                break
        return items

    def entries(self) -> list[Node]:
        items: list[Node] = []
        while not self.takes("}"):
            items.append(self.expression())
            self.expect(":")
            items.append(self.expression())
            if not self.takes(","):
                self.expect("}")
                break
        return items


def _literal(token: Token) -> Literal:
    text = token.text
    if token.kind == "text" and text[0] in "\"'" and "\\" not in text:
        quote = 3 if text[:3] in {'"""', "'''"} else 1
        return Literal(text, text[quote:-quote])
    if text.isdecimal() and len(text) <= INT_DIGITS:
        return Literal(text, int(text))
    return Literal(text)


def _check_has(token: Token, arguments: tuple[Node, ...]) -> None:
    only = arguments[0] if len(arguments) == 1 else None
    if not (isinstance(only, Chain) and isinstance(only.links[-1], Select)):
        raise ExpressionFault("`has` asks for one member by name, as in has(event.subject).", position=token.position)


def _check_pattern(token: Token, pattern: Node) -> None:
    if not isinstance(pattern, Literal):
        raise ExpressionFault("`matches` takes its pattern written out, in quotes.", position=token.position)


def _check_function(token: Token, known: Mapping[str, frozenset[int]], count: int) -> None:
    if token.text in known:
        _check_count(token, known[token.text], count)
        return
    near = close_match(token.text, [*known, *(COMPREHENSIONS if known is METHODS else ("has",))])
    hint = f"; did you mean {near}?" if near else "."
    raise ExpressionFault(f"There is no function `{token.text}` here{hint}", position=token.position)


def _check_count(token: Token, counts: frozenset[int], count: int) -> None:
    if count not in counts:
        raise ExpressionFault(f"`{token.text}` is called with another number of arguments.", position=token.position)
