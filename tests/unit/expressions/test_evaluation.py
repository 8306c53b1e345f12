"""What an expression answers, and what is said when it cannot."""

from datetime import UTC, datetime
from types import MappingProxyType
from unittest.mock import Mock

import pytest

from shared.expressions.expression import compile_expression, is_true
from shared.expressions.fault import ExpressionFault

SECRET = "s3cr3t-value"
ITEMS = [{"id": 1, "name": "a", "tags": ["x"]}, {"id": 2, "name": "b", "tags": []}]
VARIABLES = {
    "params": {"base": "http://x", "n": 3, "none": None, "secret": SECRET, "k": "fetch"},
    "steps": {"fetch": {"output": {"items": ITEMS, "in": 1}}, "parse": {"output": None}},
}


def _evaluated(text: str) -> object:
    return compile_expression(text).evaluate(VARIABLES)


def _fault(text: str) -> ExpressionFault:
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(text).evaluate(VARIABLES)
    return caught.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("params.n + 1", 4),
        ("steps.fetch.output.items[1].name", "b"),
        ("steps.fetch.output['in']", 1),
        ("steps['fetch'].output.items[0].id + 0", 1),
        ("steps[params.k].output.items[0].name", "a"),
        ("steps.fetch.output.items.filter(i, i.id > 1).map(i, i.name)", ["b"]),
        ("steps.fetch.output.items.filter(i, i.id > 1)[0].name", "b"),
        ("steps.fetch.output.items.map(i, i.id > 1, i.tags)", [[]]),
        ("steps.fetch.output.items.exists(i, i.name == 'b' && i.tags == [])", True),
        ("size(steps.fetch.output.items) + steps.fetch.output.items.size()", 4),
        ("steps.fetch.output.items.all(i, size(i.tags) < 2)", True),
        ("steps.parse.output == null", True),
        ("steps.fetch.output == null", False),
        ("steps.fetch.output != null && steps.fetch.output.items != null", True),
        ("null in [params.none]", True),
        ("has(steps.parse.missing) || has(steps.fetch.output)", True),
        ("has(params.missing) ? params.missing : params.base", "http://x"),
        ("steps.fetch.output.items.exists(i, i == null)", False),
        ("steps.exists(s, s == 'parse')", True),
        ("steps.fetch.output.items == steps.fetch.output.items", True),
        ("params", VARIABLES["params"]),
        ("type(params.n) == int", True),
        ("params.base.matches('^http') && params.base.startsWith('http')", True),
    ],
)
def test_an_expression_is_answered_as_if_it_saw_everything(text: str, value: object) -> None:
    assert _evaluated(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps.fech.output", "There is no `fech` in `steps`; did you mean fetch? Known are fetch, parse."),
        ("string(steps.fech.output)", "There is no `fech` in `steps`; did you mean fetch? Known are fetch, parse."),
        ("parms.x + 1", "There is no `parms`; did you mean params? Known are params, steps."),
        ("steps.fetch.output.items[7]", "has 2 elements"),
        ("steps.fetch.output.items[7].id + 1", "has 2 elements"),
        ("steps.fetch.output.items.name", "is a list; write [0]"),
        ("params.base.x", "`params.base` is neither a map nor a list"),
        ("params.none.x", "`params.none` is neither a map nor a list"),
        ("has(params.no) ? 1 : steps.fetch.nope + 1", "There is no `nope` in `steps.fetch`"),
        ("params[params.secret]", "A key or place is asked for that is not there"),
        ("1 / 0", "divides by zero"),
        ("9223372036854775807 + params.n", "range"),
        ("params.base + params.n", "`+` takes no string with a int"),
        ("int(params.secret)", "`int` cannot do this"),
        ("params.n.matches('a')", "`matches` takes no value of this type"),
        ("params.n ? 1 : 2", "another type"),
    ],
)
def test_what_cannot_be_answered_says_why(text: str, said: str) -> None:
    fault = _fault(text)
    assert said in fault.message
    assert SECRET not in fault.message


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("", 0),
        ("// nothing", 10),
        ("a +", 3),
        ("a b", 2),
        ("(a", 2),
        ("a = 1", 2),
        ("a & b", 2),
        ("'abc", 0),
        ('1 + "a\\q"', 4),
        ("a + for", 4),
        ("\n 9223372036854775808", 2),
        ("'é' + 9223372036854775808", 6),
        ("a.split(',')", 2),
        ("lenght(a)", 0),
        ("size(a, b)", 0),
        ("a.map(1, 2)", 2),
        ("a.matches(b)", 2),
        ("has(a)", 0),
        ("a\x00", 1),
        ("é", 0),
        (".a", 0),
        ("Message{a: 1}", 7),
        ("a ? b", 5),
    ],
)
def test_what_cannot_be_read_says_where(text: str, position: int) -> None:
    with pytest.raises(ExpressionFault) as caught:
        compile_expression(text)
    assert caught.value.position == position


def test_a_function_of_another_name_is_suggested() -> None:
    with pytest.raises(ExpressionFault, match="did you mean startsWith"):
        compile_expression("a.startswith('x')")


def test_a_path_alone_keeps_the_order_and_the_numbers_of_its_value() -> None:
    value = {"z": 2**63 + 1, "a": [1.0, None], "m": {"y": 1, "b": 2}}
    answered = compile_expression("v").evaluate({"v": value})
    assert repr(answered) == repr(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("timestamp('2030-01-01T02:00:00+02:00')", "2030-01-01T00:00:00Z"),
        ("timestamp('2030-01-01T00:00:00Z') + duration('1h')", "2030-01-01T01:00:00Z"),
        ("duration('90m')", 5400),
        ("duration('-1500ms')", -1.5),
        ("b'abc'", "YWJj"),
        ("{1: 'a', false: 'b'}", {"1": "a", "false": "b"}),
        ("18446744073709551615u", 2**64 - 1),
        ("now", "2030-01-01T00:00:00Z"),
        ("[now]", ["2030-01-01T00:00:00Z"]),
    ],
)
def test_results_are_plain_json(text: str, value: object) -> None:
    assert compile_expression(text).evaluate({"now": datetime(2030, 1, 1, tzinfo=UTC)}) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", {"\udfff": 1}, [["\ud800"]], object()])
@pytest.mark.parametrize("text", ["v", "[v][0]", "{'a': v}"])
def test_what_json_cannot_hold_is_refused(value: object, text: str) -> None:
    with pytest.raises(ExpressionFault):
        compile_expression(text).evaluate({"v": value})


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, [2**70]])
def test_a_whole_number_beyond_64_bits_is_refused(value: object) -> None:
    with pytest.raises(ExpressionFault, match="64 bits"):
        compile_expression("v").evaluate({"v": value})


def test_a_condition_is_true_or_false_and_nothing_else() -> None:
    assert is_true(compile_expression("params.n == 3"), VARIABLES)
    assert not is_true(compile_expression("params.n == 4"), VARIABLES)
    with pytest.raises(ExpressionFault, match="true or false"):
        is_true(compile_expression("params.n"), VARIABLES)


class PanicException(BaseException):
    """No input is known that makes the library panic; this is what it would raise."""


def test_a_panic_of_the_library_is_a_fault_and_an_interrupt_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Mock()
    monkeypatch.setattr("cel.compile", lambda _: program)
    program.execute.side_effect = PanicException
    with pytest.raises(ExpressionFault, match="write it in another way"):
        compile_expression("1").evaluate({})
    program.execute.side_effect = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        compile_expression("1").evaluate({})


def test_variables_may_be_any_mapping_at_the_top() -> None:
    assert compile_expression("a.b + 1").evaluate(MappingProxyType({"a": {"b": 1}})) == 2
