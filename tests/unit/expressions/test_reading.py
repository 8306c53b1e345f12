"""Which variables and members an expression reads: what is handed to it, and what is checked before it is saved."""

import pytest

from shared.expressions.expression import compile_expression

STEPS = "steps"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("params.a + steps.b.c", {"params", "steps"}),
        ("1 + 2", set()),
        ("'params.a' + r\"steps\" + '''run'''", set()),
        ("params.a // + steps.b", {"params"}),
        ("items.map(i, i.x + run.id)", {"items", "run"}),
        ("i.map(i, i)", {"i"}),
        ("items.exists(i, i.all(j, j == i)) || i", {"items", "i"}),
        ("type(params.a) == string", {"params"}),
        ("{'params': event.x}.params", {"event"}),
        ("has(event.x) ? size(event.x) : int(run.n)", {"event", "run"}),
    ],
)
def test_the_names_are_the_variables_alone(text: str, names: set[str]) -> None:
    assert compile_expression(text).names == names


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("steps.fetch.output.x + steps['b'].n", {"fetch", "b"}),
        ("has(steps.fetch)", {"fetch"}),
        ("steps.fetch.items.map(s, s.x)", {"fetch"}),
        ("steps.fetch == null", {"fetch"}),
        ("params.a", set()),
        ("params.list.map(steps, steps.x)", set()),
        ("(steps).fetch", {"fetch"}),
    ],
)
def test_members_read_by_name_are_known(text: str, members: set[str]) -> None:
    assert compile_expression(text).members(STEPS) == frozenset(members)


@pytest.mark.parametrize(
    "text",
    [
        "steps",
        "steps[params.k]",
        "size(steps)",
        "steps.map(s, steps[s].x)",
        "steps.exists(s, s == 'a')",
        "[steps]",
        "(true ? steps : params).fetch",
        "'fetch' in steps",
        "steps.fetch.x + string(steps)",
        "steps['fe\\x74ch']",
        "steps[0]",
        "dyn(steps).fetch",
        "steps.filter(s, true)",
    ],
)
def test_members_that_could_be_any_are_not_guessed(text: str) -> None:
    assert compile_expression(text).members(STEPS) is None
