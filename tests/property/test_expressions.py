"""Whatever is written and whatever is given: an answer in plain JSON, or an ExpressionFault."""

import json
import random
import re
import sys

import cel
import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from shared.expressions.allowance import Allowance
from shared.expressions.expression import compile_expression
from shared.expressions.fault import ExpressionFault
from shared.expressions.plain import plain
from shared.expressions.template import compile_template

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
TOKENS = (
    *"+-*/%<>!?:.,()[]{}",
    *(
        "==",
        "!=",
        "<=",
        ">=",
        "&&",
        "||",
        " ",
        "\n",
        "//",
        "in",
        "true",
        "null",
        "for",
        "int",
        "has(",
        "size(",
        "string(",
    ),
    *(".map(a,", ".filter(a,", ".all(a,", ".exists(a,", ".matches(", ".contains(", ".a", ".b", '["a"]', "[0]", "[a]"),
    *("a", "b", "x", "0", "1", "2u", "0x7f", "1.5", "1e9", "9223372036854775807", "99999999999999999999", "1e999"),
    *(
        "'a'",
        '"b"',
        "b'\\xff'",
        "r'\\d'",
        "'''a'''",
        "'",
        '"',
        "\\",
        "'\\ud800'",
        "'\\u00e9'",
        "\x00",
        "é",
        "\ud800",
        "😀",
    ),
    *("duration('1h')", "timestamp('2030-01-01T00:00:00Z')", "timestamp('0000-01-01T00:00:00Z')", "double('nan')"),
    *("int('-9223372036854775808')", "double('inf')", "timestamp(", "duration(", "bytes(", "double(", "type(", "dyn("),
)
VARIABLES = {"a": {"a": [1, 2.5, "x"], "b": None}, "b": [0, {"a": True}, [], "text"], "x": "words and words", "e": 5}
# What a comprehension that yields a list stands behind may be a map, unless it is one of the lists.
MAP_WALKED = re.compile(r"(?<!\bb)(?<!\ba\.a)\.(?:map|filter)\(")
PARTS = (".a", ".b", "[0]", "[1]", "['a']", ".size()", " == null")
EXPRESSIONS = 3000


def _check(text: str, variables: dict[str, object]) -> bool:
    """Whether there is an answer."""
    try:
        value = compile_expression(text).evaluate(variables)
    except ExpressionFault as fault:
        _check_position(fault, text)
        return False
    assert msgspec.json.decode(msgspec.json.encode(value)) == json.loads(json.dumps(value, allow_nan=False))
    return True


def _check_position(fault: ExpressionFault, text: str) -> None:
    assert fault.message.endswith((".", "?"))
    assert fault.position is None or 0 <= fault.position <= len(text)


@given(st.text(st.characters(codec=None), max_size=60))
@example("")
@example("//")
@example("\ud800")
@example("'\ud800'")
@example("'" * 1023)
@example("1e400")
def test_any_text_is_an_expression_or_a_fault(text: str) -> None:
    _check(text, {**VARIABLES})


@given(st.lists(st.sampled_from(TOKENS), max_size=14))
def test_any_row_of_tokens_is_an_expression_or_a_fault(tokens: list[str]) -> None:
    _check("".join(tokens), {**VARIABLES})


def test_thousands_of_expressions_at_random_are_answered_or_refused() -> None:
    draw = random.Random(20_300_101)  # noqa: S311 (repeatable, guards nothing)
    texts = [_drawn(draw, draw.randrange(1, 5)) for _ in range(EXPRESSIONS)]
    answered = sum(_check(text, {**VARIABLES}) for text in texts)
    assert answered > EXPRESSIONS // 10


@given(st.integers(0, 2**32))
def test_an_expression_that_sees_only_what_it_reads_answers_the_same(seed: int) -> None:
    text = _drawn(random.Random(seed), 4)  # noqa: S311
    try:
        expression = compile_expression(text)
    except ExpressionFault:
        return
    assert expression.names <= {*cel.compile(text).variables()}
    ours, theirs = _answer(text), _answer_of_all(text)
    assert ours == theirs or "left out" in {ours, theirs}


@given(VALUES, st.sampled_from(["v", "[v]", "v == v", "{'a': v}", "v.a", "v[0]", "size(v)", "v.map(x, x)", "v + v"]))
def test_any_variable_is_answered_or_refused(value: object, text: str) -> None:
    _check(text, {"v": value})


@given(VALUES, VALUES)
def test_any_value_is_a_template_or_a_fault(value: object, variable: object) -> None:
    try:
        template = compile_template([value, "${v}", "a ${v}"])
        msgspec.json.encode(template.render({"v": variable}))
    except ExpressionFault as fault:
        _check_position(fault, "a ${v}")


@given(st.text(alphabet="${}'\" av.", max_size=30))
def test_any_string_is_a_template_or_a_fault(text: str) -> None:
    try:
        compile_template(text).render({"a": 1, "v": "x"})
    except ExpressionFault as fault:
        _check_position(fault, text)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_an_escaped_string_is_rendered_as_it_was(text: str) -> None:
    if "$$" not in text:
        assert compile_template(text.replace("${", "$${")).render({}) == text


def test_no_input_makes_the_library_panic_or_overflow() -> None:
    limit = sys.getrecursionlimit()
    for text in ("(" * 1024, "[" * 1024, "!" * 1024, "-" * 1024, "a?" * 512, "a." * 512, "{1:" * 341, "'" * 1024):
        assert not _check(text, {**VARIABLES})
    assert sys.getrecursionlimit() == limit


def _answer(text: str) -> str:
    try:
        return json.dumps(compile_expression(text).evaluate(VARIABLES), sort_keys=True)
    except ExpressionFault as fault:
        return "left out" if "too much work" in fault.message else "refused"


def _answer_of_all(text: str) -> str:
    """By the library alone, with all variables. It walks the keys of a map in any order, which is left out."""
    if MAP_WALKED.search(text):
        return "left out"
    try:
        return json.dumps(plain(cel.compile(text).execute(VARIABLES), Allowance()), sort_keys=True)
    except (ExpressionFault, ValueError, TypeError, RuntimeError, ArithmeticError, LookupError):
        return "refused"


def _drawn(draw: random.Random, depth: int) -> str:
    if depth == 0 or draw.random() < 0.15:
        return draw.choice(("a", "b", "x", "e", "1", "0", "2.5", "'a'", "true", "null", "a.a", "b[1]", "a.b", "b[1].a"))
    one, two = _drawn(draw, depth - 1), _drawn(draw, depth - 1)
    shapes = (
        f"({one} {draw.choice(('+', '-', '*', '/', '%', '==', '!=', '<', 'in', '&&', '||'))} {two})",
        f"({one} ? {two} : {_drawn(draw, depth - 1)})",
        f"[{one}, {two}]",
        f"{{'a': {one}, 'b': {two}}}",
        f"{draw.choice(('size', 'string', 'int', 'double', 'bytes', 'type', 'dyn'))}({one})",
        f"{one}{draw.choice(PARTS)}",
        f"{one}[{two}]",
        f"{one}.{draw.choice(('contains', 'startsWith', 'endsWith'))}({two})",
        f"has({draw.choice(('a.a', 'a.z', 'b.a', 'a.b.c'))})",
        f"{draw.choice(('b', 'a.a', one))}.{draw.choice(('map', 'filter', 'all', 'exists', 'exists_one'))}(e, {two})",
    )
    return draw.choice(shapes)
