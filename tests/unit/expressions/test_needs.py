"""What is handed to the library: little, since it copies all of it at every evaluation."""

import pytest

from shared.expressions.needs import needs_of, pruned
from shared.expressions.parser import parse

ITEMS = [{"id": 1, "name": "a", "tags": ["x"]}, {"id": 2, "name": "b", "tags": []}]
STEPS = {"fetch": {"items": ITEMS, "status": 200}, "parse": None}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("steps.fetch.status + 1", {"fetch": {"status": 200}}),
        ("steps.fetch.items[1].name + ''", {"fetch": {"items": [None, {"name": "b"}]}}),
        ("steps.fetch.items[9].name + ''", {"fetch": {"items": [None, None]}}),
        ("steps.fetch.items.exists(i, i.id == 2)", {"fetch": {"items": [{"id": 1}, {"id": 2}]}}),
        ("steps.fetch.items.map(i, i.tags[0])", {"fetch": {"items": [{"tags": ["x"]}, {"tags": []}]}}),
        (
            "steps.fetch.items.filter(i, i.id > 1)[0].name",
            {"fetch": {"items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}},
        ),
        (
            "steps.fetch.items.filter(i, i.id > 1).map(i, i.name)",
            {"fetch": {"items": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}},
        ),
        ("steps.fetch.items.filter(i, i.id > 1)", {"fetch": {"items": ITEMS}}),
        ("size(steps.fetch.items) > 1", {"fetch": {"items": [None, None]}}),
        ("steps.fetch.items.size() > 1", {"fetch": {"items": [None, None]}}),
        ("has(steps.fetch.items)", {"fetch": {"items": []}}),
        ("steps.fetch == null", {"fetch": {}}),
        ("steps.parse == null", {"parse": None}),
        ("steps.all(s, s != '')", {"fetch": None, "parse": None}),
        ("steps.other.x + 1", {}),
        ("steps.fetch.items == []", {"fetch": {"items": ITEMS}}),
    ],
)
def test_only_what_is_read_is_handed_over(text: str, read: object) -> None:
    assert pruned(STEPS, needs_of(parse(text))["steps"]) == read
