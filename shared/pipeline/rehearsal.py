"""How the steps of a checked pipeline look with sample values. Nothing is run: what a step would give stays open."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from shared.expressions.allowance import Allowance
from shared.expressions.fault import ExpressionFault
from shared.expressions.limits import OUTPUT_BYTES, REHEARSAL_UNITS, TEMPLATE_UNITS
from shared.outbound.addresses import AddressPolicy
from shared.pipeline.placing import Placed, placed
from shared.pipeline.references import OF_ITEM, PARAMS, SECRETS, STEPS
from shared.pipeline.texts import Text, compiled_condition, compiled_template, texts_of
from shared.tools.base import is_open
from shared.tools.catalogue import CATALOGUE
from shared.tools.open_input import check_input
from shared.vocabulary.faults import Invalid
from shared.vocabulary.pipeline import Payload

EVENT, PREVIOUS = "event", "previous"
ITEM, INDEX = OF_ITEM
# Of JSON, in all steps together.
REHEARSAL_CHARACTERS = 1024 * 1024
SECRET_SHOWN = "[secret]"  # noqa: S105 (it stands for one)


class Sample(msgspec.Struct, frozen=True):
    """`is_event_known`: `event` is what there would be, null included."""

    run: Mapping[str, Any]
    task: Mapping[str, Any]
    event: Mapping[str, Any] | None
    is_event_known: bool


class StepRehearsal(msgspec.Struct, frozen=True, kw_only=True, rename={"condition": "if"}):
    """`rendered_with`: the input with the samples in it, of a `foreach` that for its first item; secrets are not shown.
    `unrendered`: the paths of texts that are not known before the run, left as they are. `if`: whether the step would
    run, null when that is not known. `items`: how many a `foreach` has, as far as it is known."""

    id: str
    uses: str
    rendered_with: dict[str, Any]
    unrendered: list[str]
    condition: bool | None
    items: int | None
    is_open: bool
    notes: list[str]


def rehearse(payload: Payload, sample: Sample, policy: AddressPolicy) -> list[StepRehearsal]:
    """Of a pipeline that `check_pipeline` has passed."""
    steps, _ = placed(payload)
    return [*_rehearsed(steps, payload.params, sample, policy)]


def _rehearsed(
    steps: Sequence[Placed], params: Mapping[str, Any], sample: Sample, policy: AddressPolicy
) -> Iterator[StepRehearsal]:
    """Each step may take what it may in a run, as long as there is something left for all."""
    units, characters = REHEARSAL_UNITS, REHEARSAL_CHARACTERS
    for step in steps:
        given = Allowance(min(units, TEMPLATE_UNITS), min(characters, OUTPUT_BYTES))
        before = given.units, given.characters
        yield _Rehearsing(step, params, sample, given).result(policy)
        units -= before[0] - given.units
        characters -= before[1] - given.characters


def speaks_of(step: Placed, root: str) -> bool:
    return any(isinstance(text, Text) and root in text.names for text in texts_of(step))


class _Rehearsing:
    """One step, with what turned out on the way."""

    def __init__(self, step: Placed, params: Mapping[str, Any], sample: Sample, allowance: Allowance) -> None:
        self._step = step
        self._allowance = allowance
        self._unrendered: list[str] = []
        self._notes: list[str] = []
        self._unknown = {STEPS, PREVIOUS, *OF_ITEM} | (set() if sample.is_event_known else {EVENT})
        self._variables: dict[str, Any] = {
            PARAMS: params,
            EVENT: sample.event,
            "run": sample.run,
            "task": sample.task,
            SECRETS: _secrets_of(step),
        }

    def result(self, policy: AddressPolicy) -> StepRehearsal:
        condition = self._condition()
        items = self._items()
        arguments = {name: self._rendered(each, f"with.{name}") for name, each in self._step.arguments.items()}
        self._judge(arguments, policy)
        return StepRehearsal(
            id=str(self._step.text("id")),
            uses=str(self._step.text("uses")),
            rendered_with=arguments,
            unrendered=self._unrendered,
            condition=condition,
            items=items,
            is_open=bool(self._unrendered),
            notes=self._notes,
        )

    def _condition(self) -> bool | None:
        text = self._step.text("if")
        if text is None:
            return True
        is_known, value = self._computed(compiled_condition(text, "if"))
        if is_known and not isinstance(value, bool):
            self._notes.append("if: this gives neither true nor false.")
        return value if isinstance(value, bool) else None

    def _items(self) -> int | None:
        foreach = self._step.entry.get("foreach")
        if isinstance(foreach, str):
            foreach = self._computed(compiled_condition(foreach, "foreach"))[1]
        elif isinstance(foreach, list):
            foreach = [self._rendered(each, f"foreach[{index}]") for index, each in enumerate(foreach)]
        if not isinstance(foreach, list):
            return None
        if foreach and not is_open(foreach[0]):
            self._variables |= {ITEM: foreach[0], INDEX: 0}
            self._unknown -= {*OF_ITEM}
        return len(foreach)

    def _rendered(self, value: object, path: str) -> object:
        match value:
            case dict():
                return {name: self._rendered(each, f"{path}.{name}") for name, each in value.items()}
            case list():
                return [self._rendered(each, f"{path}[{index}]") for index, each in enumerate(value)]
            case str() if is_open(value):
                is_known, rendered = self._computed(compiled_template(value, path))
                return rendered if is_known else value
            case _:
                return value

    def _computed(self, text: object) -> tuple[bool, object]:
        """Whether it is known, and what it gives."""
        if not isinstance(text, Text):
            return False, None
        if self._unknown.isdisjoint(text.names):
            try:
                return True, text.value(self._variables, self._allowance)
            except ExpressionFault as fault:
                self._notes.append(f"{text.field}: {fault.message}")
        self._unrendered.append(text.field)
        return False, None

    def _judge(self, arguments: Mapping[str, Any], policy: AddressPolicy) -> None:
        """What is known whole is checked as it will be before the act; a hidden secret would be misjudged."""
        if self._unrendered or self._variables[SECRETS] or not is_open(self._step.arguments):
            return
        try:
            check_input(CATALOGUE[str(self._step.text("uses"))], arguments, policy, "with")
        except Invalid as refusal:
            self._notes += [f"{fault.field}: {fault.message}" for fault in refusal.validation_errors]


def _secrets_of(step: Placed) -> dict[str, str]:
    texts = [each for each in texts_of(step) if isinstance(each, Text)]
    return {name: SECRET_SHOWN for text in texts for name in text.members(SECRETS) or ()}
