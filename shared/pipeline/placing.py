"""The steps of a pipeline where they stand, whatever their form: what is wrong with one hides nothing of the others."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import msgspec

from shared.vocabulary.faults import FieldFault
from shared.vocabulary.limits import STEPS_PER_PIPELINE
from shared.vocabulary.pipeline import Payload

CODE = "invalid_pipeline"
PARALLEL = "parallel"
FIELD = "payload.pipeline"
NAME_CHARACTERS_SHOWN = 64


class Placed(msgspec.Struct, frozen=True):
    """`entry` is the step as it was given, `field` its path, `group` its turn: steps of one group run at once."""

    field: str
    group: int
    entry: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        value = self.entry.get(name)
        return value if isinstance(value, str) else None

    @property
    def arguments(self) -> Mapping[str, Any]:
        given = self.entry.get("with")
        return given if isinstance(given, dict) else {}


Found: TypeAlias = Placed | FieldFault


def placed(payload: Payload, field: str = FIELD) -> tuple[list[Placed], list[FieldFault]]:
    """Every step in its order, and what is no step."""
    found = [each for turn, entry in enumerate(payload.pipeline) for each in _in_entry(entry, turn, f"{field}[{turn}]")]
    steps = [each for each in found if isinstance(each, Placed)]
    faults = [each for each in found if isinstance(each, FieldFault)]
    if len(steps) > STEPS_PER_PIPELINE:
        message = f"A pipeline has at most {STEPS_PER_PIPELINE} steps, those in groups included, not {len(steps)}."
        faults.insert(0, FieldFault(field, message, "too_long"))
    return steps, faults


def shown(name: str) -> str:
    """A key in a path. It is written once for each value below it, which with a long one would be megabytes."""
    return name if len(name) <= NAME_CHARACTERS_SHOWN else f"{name[:NAME_CHARACTERS_SHOWN]}…"


def _in_entry(entry: Mapping[str, Any], turn: int, field: str) -> Iterator[Found]:
    if PARALLEL not in entry:
        yield Placed(field, turn, entry)
        return
    for name in sorted(entry.keys() - {PARALLEL}):
        message = "A group has the field parallel only; what belongs to a step goes into that step."
        yield FieldFault(f"{field}.{name}", message, "unknown_field")
    yield from _in_group(entry[PARALLEL], turn, f"{field}.{PARALLEL}")


def _in_group(members: object, turn: int, field: str) -> Iterator[Found]:
    if not isinstance(members, list):
        yield FieldFault(field, "A group is a list of steps.", "invalid_type")
        return
    if not members:
        yield FieldFault(field, "A group has at least one step.", "required")
    for index, member in enumerate(members):
        if isinstance(member, dict):
            yield Placed(f"{field}[{index}]", turn, member)
        else:
            yield FieldFault(f"{field}[{index}]", "A step is an object with id and uses.", "invalid_type")
