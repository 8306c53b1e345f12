"""Requests and answers as they really look, by the name of their struct; actions by the operation that answers so."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from services.gateway.documentation.examples import agents, audit, events, runs, tasks
from services.gateway.documentation.names import type_name

PARTS = (tasks, runs, events, agents, audit)
BODIES: Mapping[str, object] = MappingProxyType({name: body for part in PARTS for name, body in part.BODIES.items()})
ACTIONS: Mapping[str, object] = MappingProxyType({name: body for part in PARTS for name, body in part.ACTIONS.items()})


def example_of_body(annotation: object) -> object | None:
    """None where nobody has written one. A page is shown with one item."""
    name, inner = type_name(annotation), get_args(annotation)
    if name in BODIES or not inner:
        return BODIES.get(name)
    item = example_of_body(inner[0])
    rest = {"total": 1, "limit": 50, "offset": 0, "has_more": False, "is_total_capped": False, "next_cursor": None}
    return None if item is None else {"items": [item], **rest}


def example_of_action(operation: str) -> object | None:
    return ACTIONS.get(operation)
