"""Judges a whole pipeline before it is stored."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.pipeline.form import faults_of_form, faults_of_names
from shared.pipeline.placing import FIELD, Placed, placed
from shared.pipeline.references import (
    MEMBERS,
    PARAMS,
    SECRETS,
    STEPS,
    Known,
    faults_of_known,
    faults_of_secrets,
    faults_of_steps,
    owners_of,
    roots_in,
)
from shared.pipeline.schema_path import schema_path
from shared.pipeline.texts import Budget, Found, Text, texts_of, too_long
from shared.tools.base import ToolSpec
from shared.tools.catalogue import CATALOGUE
from shared.tools.http_request import HTTP_REQUEST, answer_expressions
from shared.tools.open_input import check_input
from shared.vocabulary.decoding import FAULTS_TOLD, Hints, close_match, invalid
from shared.vocabulary.faults import FieldFault, Invalid
from shared.vocabulary.limits import SECRETS_PER_PIPELINE, STEPS_PER_PIPELINE
from shared.vocabulary.pipeline import Payload

OF_SCHEMA = frozenset(
    {
        *("required", "unknown_field", "invalid_type", "invalid_choice", "invalid_format", "invalid_datetime"),
        *("out_of_range", "too_long", "too_short"),
    }
)


def check_pipeline(payload: Payload, policy: AddressPolicy, budget: Budget | None = None) -> None:
    """`budget` is shared with what else the request has compiled. Raises Invalid with each fault and its path, up to
    FAULTS_TOLD of them; the first gives the answer its code."""
    faults = [*islice(_faults(payload, policy, budget or Budget()), FAULTS_TOLD)]
    if faults:
        raise invalid(faults)


def _faults(payload: Payload, policy: AddressPolicy, budget: Budget) -> Iterator[FieldFault]:
    """In the order of the steps. Nothing is judged before its fault is asked for."""
    steps, faults = placed(payload)
    yield from faults
    judged = steps[:STEPS_PER_PIPELINE]
    of_names = defaultdict(list)
    for step, fault in faults_of_names(judged):
        of_names[step.field].append(fault)
    texts = _Texts(steps, judged, payload.params, budget)
    by_step = (
        chain(faults_of_form(step), _faults_of_tool(step, policy, budget), of_names[step.field], texts.faults_of(step))
        for step in judged
    )
    yield from _distinct(chain(texts.faults_of_all(), chain.from_iterable(by_step)))


def _faults_of_tool(step: Placed, policy: AddressPolicy, budget: Budget) -> Iterator[FieldFault]:
    name = step.text("uses")
    if name is None:
        return
    spec = CATALOGUE.get(name)
    if spec is None:
        message = f"There is no such tool; known ones are {', '.join(CATALOGUE)}."
        suggestion = close_match(name, CATALOGUE)
        yield FieldFault(f"{step.field}.uses", message, "unknown_tool", suggestion=suggestion)
    elif not isinstance(step.entry.get("with", {}), dict):
        return
    elif spec is HTTP_REQUEST and not budget.allows(answer_expressions(step.arguments)):
        yield too_long(FIELD)
    else:
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


class _Texts:
    """What the steps compute. All of it is compiled before any of it is judged: whether steps wait for one another in
    a cycle, only all of them tell."""

    def __init__(
        self, steps: Sequence[Placed], judged: Sequence[Placed], params: Mapping[str, object], budget: Budget
    ) -> None:
        self._params = params
        self._hints = Hints()
        self._owners = owners_of(steps)
        self._found = {step.field: [*budget.within(texts_of(step), FIELD)] for step in judged}
        self._uses = {field: _uses(found) for field, found in self._found.items()}

    def faults_of_all(self) -> Iterator[FieldFault]:
        texts = (each for found in self._found.values() for each in found if isinstance(each, Text))
        names = {name for text in texts for name in text.members(SECRETS) or ()}
        if len(names) > SECRETS_PER_PIPELINE:
            message = f"A pipeline uses at most {SECRETS_PER_PIPELINE} secrets; this one names {len(names)}."
            yield FieldFault(FIELD, message, "too_long")

    def faults_of(self, step: Placed) -> Iterator[FieldFault]:
        for each in self._found[step.field]:
            if isinstance(each, FieldFault):
                yield each
                continue
            known = Known(roots_in(step, each), {**MEMBERS, PARAMS: self._params.keys()}, self._hints)
            yield from faults_of_known(each, known)
            yield from faults_of_steps(step, each, self._owners, self._uses, self._hints)
            yield from faults_of_secrets(step, each)


def _uses(found: Sequence[Found]) -> set[str]:
    """The names of steps that they speak of."""
    return {name for each in found if isinstance(each, Text) for name in each.members(STEPS) or ()}


def _distinct(faults: Iterable[FieldFault]) -> Iterator[FieldFault]:
    """The same text can be wrong to two judges in the same words."""
    told: set[FieldFault] = set()
    for fault in faults:
        if fault not in told:
            told.add(fault)
            yield fault
