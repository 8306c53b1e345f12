"""The form of steps: their fields, their names, their lists."""

from collections.abc import Iterator, Sequence

import msgspec

from shared.pipeline.placing import CODE, PARALLEL, Placed
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.limits import FOREACH_ITEMS
from shared.vocabulary.pipeline import Step

NAME_MESSAGE = "This must be a name of up to 64 letters, digits and underscores that begins with no digit."
NAMES = ("id", "save_as")


def faults_of_form(step: Placed) -> Iterator[FieldFault]:
    try:
        decode(step.entry, Step, step.field)
    except Invalid as invalid:
        yield from (_in_own_words(fault, step) for fault in invalid.validation_errors)
    items = step.entry.get("foreach")
    if isinstance(items, list) and len(items) > FOREACH_ITEMS:
        message = f"A step runs for at most {FOREACH_ITEMS} items; this list has {len(items)}."
        yield FieldFault(f"{step.field}.foreach", message, "too_long")


def faults_of_names(steps: Sequence[Placed]) -> Iterator[tuple[Placed, FieldFault]]:
    """Results are found by `id` and by `save_as`: each name belongs to one step."""
    owners: dict[str, Placed] = {}
    for step in steps:
        for kind in NAMES:
            name = step.text(kind)
            if name is None:
                continue
            owner = owners.setdefault(name, step)
            if owner is not step:
                message = f"{owner.field} has this name already: each id and save_as belongs to one step."
                yield step, FieldFault(f"{step.field}.{kind}", message, CODE, suggestion=_free(name, owners))


def _in_own_words(fault: FieldFault, step: Placed) -> FieldFault:
    name = fault.field.removeprefix(f"{step.field}.")
    if name in NAMES and fault.code == "invalid_format":
        return msgspec.structs.replace(fault, message=NAME_MESSAGE, code=CODE)
    if name == PARALLEL:
        return msgspec.structs.replace(fault, message="A group cannot stand inside another.")
    return fault


def _free(name: str, taken: dict[str, Placed]) -> str | None:
    """The same name with a number behind it."""
    candidates = (f"{name[:60]}_{number}" for number in range(2, 100))
    return next((each for each in candidates if each not in taken), None)
