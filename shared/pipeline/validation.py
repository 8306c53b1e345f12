"""Judges a whole pipeline before it is stored."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.pipeline.form import faults_of_form, faults_of_names
from shared.pipeline.placing import FIELD, Placed, placed
from shared.pipeline.references import (
    MEMBERS,
    PARAMS,
    STEPS,
    Known,
    faults_of_known,
    faults_of_secrets,
    faults_of_steps,
    owners_of,
    roots_in,
)
from shared.pipeline.schema_path import schema_path
from shared.pipeline.texts import Budget, Text, texts_of
from shared.tools.base import ToolSpec
from shared.tools.catalogue import CATALOGUE
from shared.tools.open_input import check_input
from shared.vocabulary.decoding import close_match, invalid
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.pipeline import Payload

FAULTS_TOLD = 100
OF_SCHEMA = frozenset(
    {
        *("required", "unknown_field", "invalid_type", "invalid_choice", "invalid_format", "invalid_datetime"),
        *("out_of_range", "too_long", "too_short"),
    }
)


def check_pipeline(payload: Payload, policy: AddressPolicy) -> None:
    """Raises Invalid with each fault and its path; the first of them gives the answer its code."""
    steps, faults = placed(payload)
    found = defaultdict(list, {step.field: [*faults_of_form(step), *_faults_of_tool(step, policy)] for step in steps})
    for step, fault in faults_of_names(steps):
        found[step.field].append(fault)
    for step, fault in _faults_of_texts(steps, payload.params):
        found[step.field].append(fault)
    faults += [fault for step in steps for fault in _distinct(found[step.field])]
    if faults:
        raise invalid(faults[:FAULTS_TOLD])


def _faults_of_tool(step: Placed, policy: AddressPolicy) -> Iterator[FieldFault]:
    name = step.text("uses")
    if name is None:
        return
    spec = CATALOGUE.get(name)
    if spec is None:
        message = f"There is no such tool; known ones are {', '.join(CATALOGUE)}."
        suggestion = close_match(name, CATALOGUE)
        yield FieldFault(f"{step.field}.uses", message, "unknown_tool", suggestion=suggestion)
    elif isinstance(step.entry.get("with", {}), dict):
        yield from faults_of_input(spec, step, policy)


def faults_of_input(spec: ToolSpec, step: Placed, policy: AddressPolicy) -> Sequence[FieldFault]:
    field = f"{step.field}.with"
    try:
        check_input(spec, step.arguments, policy, field)
    except Invalid as refusal:
        return [_in_schema(fault, spec, field) for fault in refusal.validation_errors]
    return ()


def _in_schema(fault: FieldFault, spec: ToolSpec, field: str) -> FieldFault:
    """What the tool's own check finds is in no schema."""
    if fault.code not in OF_SCHEMA:
        return fault
    return msgspec.structs.replace(fault, schema_path=schema_path(spec.input_schema, fault.field.removeprefix(field)))


def _faults_of_texts(steps: Sequence[Placed], params: Mapping[str, object]) -> Iterator[tuple[Placed, FieldFault]]:
    budget = Budget(FIELD)
    found = [(step, each) for step in steps for each in budget.within(texts_of(step))]
    texts = [(step, each) for step, each in found if isinstance(each, Text)]
    owners, uses = owners_of(steps), _uses(texts)
    for step, each in found:
        if isinstance(each, FieldFault):
            yield step, each
            continue
        known = Known(roots_in(step, each), {**MEMBERS, PARAMS: params.keys()})
        judged = (
            *faults_of_known(each, known),
            *faults_of_steps(step, each, owners, uses),
            *faults_of_secrets(step, each),
        )
        for fault in judged:
            yield step, fault


def _uses(texts: Sequence[tuple[Placed, Text]]) -> dict[str, set[str]]:
    """The names of steps that the step at each field speaks of."""
    found: dict[str, set[str]] = defaultdict(set)
    for step, text in texts:
        found[step.field] |= text.members(STEPS) or set()
    return found


def _distinct(faults: Sequence[FieldFault]) -> list[FieldFault]:
    """The same text can be wrong to two judges in the same words."""
    return list(dict.fromkeys(faults))
