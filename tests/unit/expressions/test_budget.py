"""Nothing can stop an expression midway, so the dear ones are refused beforehand; the others keep their budget."""

import time
from collections.abc import Mapping

import pytest

from shared.expressions.expression import compile_expression
from shared.expressions.fault import ExpressionFault
from shared.expressions.template import compile_template

BUDGET_SECONDS = 0.05
# A busy machine makes a processor second longer, by cache and by frequency.
TOLERANCE = 4
TEXT = "x" * 65_536
NUMBERS = [*range(13_000)]
WORDS = [f"name-{number}" for number in range(5000)]
RECORDS = [{"id": number, "name": f"name{number}", "tags": ["a", "b"]} for number in range(1200)]
VARIABLES = {
    "text": TEXT,
    "numbers": NUMBERS,
    "words": WORDS,
    "records": RECORDS,
    "few": NUMBERS[:100],
    "keyed": dict.fromkeys(WORDS[:2000], 1),
}


def _seconds(text: str, variables: Mapping[str, object]) -> tuple[float, bool]:
    """Processor time, and whether there was an answer."""
    expression = compile_expression(text)
    began_at = time.process_time()
    try:
        expression.evaluate(variables)
    except ExpressionFault:
        return time.process_time() - began_at, False
    return time.process_time() - began_at, True


def _longest(head: str, repeated: str, tail: str = "") -> str:
    return head + repeated * ((1024 - len(head) - len(tail)) // len(repeated)) + tail


@pytest.mark.parametrize(
    "text",
    [
        "numbers.map(a, 1)",
        "numbers.filter(a, true)",
        "records.filter(a, a.id > 1)",
        "numbers.all(a, numbers.all(b, a + b >= 0))",
        "words.exists(a, words.exists(b, a + 'x' == b))",
        "size(few.map(a, text))",
        "size(few.map(a, few.map(b, text)))",
        "few.map(a, few).map(a, a + a).map(a, a + a)",
        "words.filter(a, a in words)",
        "words.all(a, words == words)",
        _longest("size(text", " + text", ")"),
        _longest("size(numbers", " + numbers", ")"),
        _longest("[numbers", ", numbers", "]"),
        _longest("[[text]", ".map(a, a + a)", "]"),
        _longest("few", ".map(a, [a, a])"),
        "text.matches('(x{1000}){9}y')",
        r"text.matches('(\\pL{90}){90}y')",
        r"few.all(a, 'x'.matches('\\w{50}'))",
        _longest(r"text.matches(r'", r"\w", "')"),
        _longest("text.matches('", "x*", "y')"),
    ],
)
def test_the_dearest_expressions_are_refused_in_no_time(text: str) -> None:
    seconds, is_answered = _seconds(text, VARIABLES)
    assert not is_answered
    assert seconds < BUDGET_SECONDS * TOLERANCE


@pytest.mark.parametrize(
    "text",
    [
        "numbers == numbers",
        "42 in numbers",
        "records.exists(r, r.id == -1)",
        "records[1199].name + '!'",
        "size(records)",
        "few.map(n, n * 2)",
        "few.filter(n, few.exists(m, m == n))",
        "records.all(r, has(r.name) && r.name.startsWith('name'))",
        "keyed.exists(key, key == 'x')",
        "text.matches('^x+y') || text.contains('y')",
        r"'2030-01-01'.matches('^[0-9]{4}-[0-9]{2}-\\d{2}$')",
        "few.all(a, text.contains('y' + text))",
        "few.all(a, string(bytes(text)) == text)",
        "size(text + text)",
        _longest("1", " + 1"),
        _longest("'a'", " + 'a'"),
    ],
)
def test_usual_expressions_on_64_kib_are_answered_within_the_budget(text: str) -> None:
    seconds, is_answered = _seconds(text, VARIABLES)
    assert is_answered
    assert seconds < BUDGET_SECONDS * TOLERANCE


def test_an_expression_does_not_pay_for_what_it_does_not_read() -> None:
    heavy = {"steps": {"fetch": {"output": {"items": RECORDS * 100, "total": 7}}}}
    expression = compile_expression("steps.fetch.output.total + steps.fetch.output.items[3].id + 1")
    began_at = time.process_time()
    assert [expression.evaluate(heavy) for _ in range(100)] == [11] * 100
    assert time.process_time() - began_at < BUDGET_SECONDS * TOLERANCE


def test_a_few_large_strings_are_split_in_no_time() -> None:
    began_at = time.process_time()
    compile_template(["$${" * 20_000, "{}" * 30_000, "$" * 60_000])
    with pytest.raises(ExpressionFault):
        compile_template("${'" * 20_000)
    assert time.process_time() - began_at < BUDGET_SECONDS * TOLERANCE


@pytest.mark.parametrize(
    "text",
    [
        "(" * 21 + "1" + ")" * 21,
        "[" * 500 + "]" * 500,
        "a" + "[a" * 40 + "]" * 40,
        _longest("1", "?1:1"),
        "f(" * 300 + ")" * 300,
        "a.map(b, b.map(c, c.map(d, d)))",
        "a" * 1025,
    ],
)
def test_depth_and_length_are_bounded(text: str) -> None:
    with pytest.raises(ExpressionFault):
        compile_expression(text)


def test_twenty_brackets_are_not_too_deep() -> None:
    assert compile_expression("(" * 20 + "1" + ")" * 20).evaluate({}) == 1


def test_a_variable_too_deep_for_the_library_is_refused() -> None:
    deep: object = 1
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ExpressionFault, match="deep"):
        compile_expression("v == v").evaluate({"v": deep})
    with pytest.raises(ExpressionFault, match="deep"):
        compile_expression("v").evaluate({"v": deep})


@pytest.mark.parametrize(
    "text", [_longest("!", "!", "true"), _longest("-", "-", "1"), _longest("a", ".a"), _longest("1", "==1")]
)
def test_long_chains_are_read_without_recursion(text: str) -> None:
    _seconds(text, {"a": {}})


DEAR = "${size(few.map(x, few.exists(y, y == -1)))}"


@pytest.mark.parametrize(
    ("value", "variables", "said"),
    [
        ([DEAR] * 356, {"few": NUMBERS[:180]}, "too much to compute in one step"),
        (["${numbers}"] * 490, {"numbers": [*range(30_000)]}, "together are larger"),
        (["${size(records)}"] * 490, VARIABLES, "too much to compute in one step"),
        ("${records.filter(a, false)}" * 400, {"records": RECORDS[:100]}, "too much to compute in one step"),
    ],
    ids=["loops", "paths", "copies", "text"],
)
def test_the_expressions_of_a_template_share_one_allowance(
    value: object, variables: Mapping[str, object], said: str
) -> None:
    template = compile_template(value)
    began_at = time.process_time()
    with pytest.raises(ExpressionFault, match=said):
        template.render(variables)
    assert time.process_time() - began_at < TOLERANCE * 2 * BUDGET_SECONDS


def test_a_template_full_of_small_expressions_is_rendered() -> None:
    variables = {"a": {"b": [{"c": number} for number in range(5)]}}
    rendered = compile_template(["${a.b[1].c + 1}", "${size(a.b)}", "${a.b.filter(x, x.c > 3)}"] * 160).render(
        variables
    )
    assert rendered == [2, 5, [{"c": 4}]] * 160


@pytest.mark.parametrize(("count", "hint"), [(100, True), (101, False)])
def test_among_many_keys_none_is_looked_for(count: int, hint: bool) -> None:
    keys = {f"key{number}": 1 for number in range(count)}
    with pytest.raises(ExpressionFault) as refusal:
        compile_expression("v.kex1").evaluate({"v": keys})
    assert ("did you mean" in refusal.value.message) is hint
    assert f"{count - 10} more" in refusal.value.message


def test_thousands_of_keys_that_are_alike_are_told_of_at_once() -> None:
    keys = {f"{'a' * 27}{'b' * 25}{number:04d}": 1 for number in range(4000)}
    expression = compile_expression(f"v.{'a' * 27}{'b' * 25}x")
    began_at = time.process_time()
    with pytest.raises(ExpressionFault, match="There is no"):
        expression.evaluate({"v": keys})
    assert time.process_time() - began_at < TOLERANCE * BUDGET_SECONDS
