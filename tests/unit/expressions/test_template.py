"""Values with expressions in their strings."""

from typing import Any

import pytest

from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import EXPRESSIONS_PER_TEMPLATE
from shared.expressions.names import check_names
from shared.expressions.template import compile_template

VARIABLES = {"params": {"text": "a", "n": 2, "f": 1.5, "yes": True, "none": None, "list": [1, {"b": 2}], "é": "ü"}}


def _rendered(value: object) -> object:
    return compile_template(value).render(VARIABLES)


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("${params.list}", [1, {"b": 2}]),
        ("${ params.n }", 2),
        ("${params.none}", None),
        (" ${params.n}", " 2"),
        ("${params.n}${params.n}", "22"),
        ("<${params.text}|${params.n}|${params.f}|${params.yes}|${params.none}>", "<a|2|1.5|true|null>"),
        ("v=${params.list}", 'v=[1,{"b":2}]'),
        ('${ {"a": 1}["a"] }', 1),
        ('${"}"}', "}"),
        ("${'${'}", "${"),
        ("${ {'a': {'b': '}'}}.a.b }!", "}!"),
        ('${params["é"]}', "ü"),
        ("${'''a}\n'''}", "a}\n"),
        ("${params.n // }\n}", 2),
        ("$${params.n}", "${params.n}"),
        ("$${${params.n}}", "${2}"),
        ("$$", "$$"),
        ("cost $5 {a}", "cost $5 {a}"),
        ("a $${x} ${params.n}", "a ${x} 2"),
        ("${params.n}$${x}", "2${x}"),
    ],
)
def test_a_string_is_rendered(text: str, rendered: object) -> None:
    assert _rendered(text) == rendered


def test_values_are_rendered_throughout_and_keys_are_not() -> None:
    value = {"a": ["${params.n}", "x", {"b": "${params.text}!"}], "${params.n}": 1, "c": None, "d": "$${x}"}
    assert _rendered(value) == {"a": [2, "x", {"b": "a!"}], "${params.n}": 1, "c": None, "d": "${x}"}
    assert list(_rendered(value)) == list(value)  # type: ignore[call-overload]


def test_a_constant_template_gives_its_own_value() -> None:
    value = {"a": [1, {"b": "c"}], "d": None}
    template = compile_template(value)
    assert template.is_constant
    assert template.render({}) is value


def test_an_escaped_constant_is_constant_too() -> None:
    template = compile_template({"a": ["$${x}"]})
    assert template.is_constant
    assert template.render({}) == {"a": ["${x}"]}


def test_rendering_changes_neither_the_template_nor_the_variables() -> None:
    template = compile_template({"a": "${params.list}", "b": [1]})
    first: Any = template.render(VARIABLES)
    first["a"].append(3)
    first["c"] = 1
    assert template.render(VARIABLES) == {"a": [1, {"b": 2}], "b": [1]}


def test_a_template_knows_what_it_reads() -> None:
    template = compile_template({"a": "${params.x} ${steps.b.c}", "d": ["${steps.e}"]})
    assert template.names == {"params", "steps"}
    assert template.members("steps") == frozenset({"b", "e"})
    assert template.members("run") == frozenset()
    assert [(path, each.text) for path, each in template.expressions] == [
        ("a", "params.x"),
        ("a", "steps.b.c"),
        ("d[0]", "steps.e"),
    ]
    assert compile_template(["${steps.a}", "${steps[params.k]}"]).members("steps") is None


@pytest.mark.parametrize(
    ("value", "path", "position"),
    [
        ({"headers": {"X-A": "ab ${a b}"}}, "headers.X-A", 7),
        ({"items": [1, 2, {"name": "${"}]}, "items[2].name", 0),
        ("abc ${ {'a': 1}", "", 4),
        (["${ 'a }"], "[0]", 3),
        ("${}", "", 2),
        ("é${1 = 1}", "", 5),
        ("${" + "1" * 2000, "", 2),
    ],
)
def test_a_wrong_template_says_where(value: object, path: str, position: int) -> None:
    with pytest.raises(ExpressionFault) as caught:
        compile_template(value)
    assert (caught.value.path, caught.value.position) == (path, position)


def test_a_template_that_cannot_be_rendered_says_where() -> None:
    with pytest.raises(ExpressionFault) as caught:
        _rendered({"a": [{"b": "x ${params.txt}"}]})
    assert caught.value.path == "a[0].b"
    assert "did you mean text" in caught.value.message


def test_an_expression_at_the_limit_of_its_length_is_read_wherever_it_stands() -> None:
    inside = "1" + " " * 1022 + " "
    assert _rendered("$" + "{" + inside + "}x") == "1x"
    with pytest.raises(ExpressionFault, match="1024"):
        compile_template("${" + inside + " }")


def test_templates_are_bounded() -> None:
    with pytest.raises(ExpressionFault, match=str(EXPRESSIONS_PER_TEMPLATE)):
        compile_template(["${1}"] * (EXPRESSIONS_PER_TEMPLATE + 1))
    with pytest.raises(ExpressionFault, match=str(EXPRESSIONS_PER_TEMPLATE)):
        compile_template("${1}" * (EXPRESSIONS_PER_TEMPLATE + 1))
    deep: object = "x"
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(ExpressionFault, match="deep"):
        compile_template(deep)


@pytest.mark.parametrize("value", [["${big}"] * 3, "${big}${big}${big}", ["${big + big}", "${big}"]])
def test_a_rendered_value_is_at_most_256_kib(value: object) -> None:
    with pytest.raises(ExpressionFault, match="256 KiB"):
        compile_template(value).render({"big": "x" * 100_000})


def test_unknown_names_are_found_before_anything_runs() -> None:
    known = {"params": None, "steps": ["fetch", "parse"]}
    check_names(compile_template({"a": "${params.x}${steps.fetch.y}"}), known)
    with pytest.raises(ExpressionFault) as caught:
        check_names(compile_template({"a": ["${params.x}", "${steps.fech.y}"]}), known)
    assert caught.value.path == "a[1]"
    assert caught.value.message == "There is no `fech` in `steps`; did you mean fetch? Known are fetch, parse."
    with pytest.raises(ExpressionFault, match="There is no `parms`; did you mean params"):
        check_names(compile_template("${parms.x}"), known)
    with pytest.raises(ExpressionFault, match="empty"):
        check_names(compile_template("${steps.a}"), {"steps": []})
