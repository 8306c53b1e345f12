"""Checks arguments against the schema of a stranger, in bounded time.

A schema can ask for any amount of work: regular expressions that backtrack, references that double at each level. What
cannot be checked here within the budget is left to the server, which checks its input anyway; the check before the call
is there to tell an author early what is wrong.
"""

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import msgspec
from jsonschema import Draft7Validator, Draft202012Validator, ValidationError  # type: ignore[import-untyped] # has none
from jsonschema.exceptions import UnknownType  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]
from referencing import Registry
from referencing.exceptions import Unresolvable

SCHEMA_BYTES = 64 * 1024
BUDGET_SECONDS = 0.05
MAX_DEPTH = 48
MAX_SHOWN = 200
COMPILED = 256

# Their cost is not bounded by the size of what they look at, or they lead around the budget.
UNBOUNDED = frozenset(
    {
        *("patternProperties", "unevaluatedProperties", "unevaluatedItems", "uniqueItems"),
        *("$dynamicRef", "$recursiveRef", "propertyNames"),
    }
)

# The library has no types. A keyword gets a validator, its own value, the instance and the schema around it.
Validator: TypeAlias = Any
Draft: TypeAlias = Any
Json: TypeAlias = Any
Keyword: TypeAlias = Callable[[Validator, Json, Json, Json], Iterator[Any] | None]


class OutOfBudgetError(Exception):
    """The check would take too long."""


class Budget:
    """Processor time of this thread, so that a busy machine does not change the answer much; and depth, because the
    library keeps references in Rust, which does not raise RecursionError but panics."""

    def __init__(self) -> None:
        self._ends_at = 0.0
        self._depth = 0

    def start(self) -> None:
        self._ends_at = time.thread_time() + BUDGET_SECONDS
        self._depth = 0

    @contextmanager
    def spending(self) -> Iterator[None]:
        if time.thread_time() > self._ends_at or self._depth == MAX_DEPTH:
            raise OutOfBudgetError
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


BUDGET = Budget()


def wrong_argument(schema: bytes, arguments: Mapping[str, object], field: str) -> str | None:
    """A sentence with the path of the first wrong value below `field`; None when nothing wrong was found."""
    try:
        validator = _validator_of(schema)
        if validator is None:
            return None
        BUDGET.start()
        error = next(validator.iter_errors(arguments), None)
    except (OutOfBudgetError, RecursionError, Unresolvable, UnknownType):
        return None
    except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError):
        return None  # the schema is none: its keywords hold values of the wrong kind
    return None if error is None else _sentence(error, field)


@functools.lru_cache(maxsize=COMPILED)
def _validator_of(schema: bytes) -> Validator:
    """None for a schema that is too large, or holds what is not checked here."""
    if len(schema) > SCHEMA_BYTES:
        return None
    parsed = msgspec.json.decode(schema)
    if not isinstance(parsed, dict) or _is_unbounded(parsed):
        return None
    # An empty registry: references lead to places in the schema and nowhere else.
    return _class_for(parsed)(parsed, registry=Registry())


def _is_unbounded(node: object, depth: int = 0) -> bool:
    """`pattern` is refused where it holds text: there may be an argument of that name."""
    if not isinstance(node, dict | list):
        return False
    if depth == MAX_DEPTH:
        return True
    if isinstance(node, dict) and (not UNBOUNDED.isdisjoint(node) or isinstance(node.get("pattern"), str)):
        return True
    return any(_is_unbounded(each, depth + 1) for each in (node.values() if isinstance(node, dict) else node))


def _class_for(schema: Mapping[str, object]) -> Draft:
    return DRAFT_7 if "draft-07" in str(schema.get("$schema", "")) else DRAFT_2020_12


def _budgeted(keyword: Keyword) -> Keyword:
    @functools.wraps(keyword)
    def checked(validator: Validator, value: Json, instance: Json, schema: Json) -> Iterator[Any]:
        with BUDGET.spending():
            yield from keyword(validator, value, instance, schema) or ()

    return checked


def _within_budget(draft: Draft) -> Draft:
    return extend(draft, {name: _budgeted(keyword) for name, keyword in draft.VALIDATORS.items()})


DRAFT_7 = _within_budget(Draft7Validator)
DRAFT_2020_12 = _within_budget(Draft202012Validator)


def _sentence(error: ValidationError, field: str) -> str:
    path = field + error.json_path.removeprefix("$")
    if error.validator == "required":
        return f"{path}: {error.message[:MAX_SHOWN]}."
    # Not the library's message: it holds the value, which may be a secret.
    wanted = repr(error.validator_value)[:MAX_SHOWN] if not isinstance(error.validator_value, dict) else "…"
    return f"{path}: This does not fit the tool's schema, which says {error.validator}: {wanted}."
