"""A task's payload, compiled once for each version of the task."""

from collections import OrderedDict
from collections.abc import Iterator
from uuid import UUID

import msgspec

from services.executor.work import Work
from shared.expressions import Expression, Template, compile_template
from shared.pipeline.texts import compile_condition
from shared.tools.base import ToolSpec
from shared.tools.catalogue import CATALOGUE
from shared.vocabulary.pipeline import Payload, Step, steps_of

PROGRAMS_KEPT = 2000


class StepProgram(msgspec.Struct, frozen=True):
    """`spec` is None for a tool that this version does not know."""

    step: Step
    spec: ToolSpec | None
    arguments: Template
    condition: Expression | None
    items: Expression | Template | None

    @property
    def texts(self) -> Iterator[Expression | Template]:
        yield self.arguments
        if self.condition is not None:
            yield self.condition
        if self.items is not None:
            yield self.items


class Program(msgspec.Struct, frozen=True):
    """`is_plain`: one step that runs once, whose outcome is that of the run. `names`: the variables that are read.
    `secret_names`: None when it cannot be told from the text. `most_retries`: of steps with a policy of their own."""

    groups: tuple[tuple[StepProgram, ...], ...]
    is_plain: bool
    names: frozenset[str]
    secret_names: frozenset[str] | None
    most_retries: int


class Programs:
    """Those of the tasks that run most. A task that changes has a new version, and so a new program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, int], Program] = OrderedDict()

    def of(self, work: Work) -> Program:
        """Raises msgspec.ValidationError and ExpressionFault for a payload that cannot be executed."""
        key = (work.task_id, work.task_version)
        program = self._kept.get(key)
        if program is None:
            program = compile_payload(msgspec.convert(work.payload, Payload))
            self._kept[key] = program
            if len(self._kept) > PROGRAMS_KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(key)
        return program


def compile_payload(payload: Payload) -> Program:
    groups = tuple(tuple(_compiled(step) for step in group) for group in payload.groups)
    texts = [text for group in groups for step in group for text in step.texts]
    only = groups[0][0]
    return Program(
        groups=groups,
        is_plain=len(groups) == 1 and len(groups[0]) == 1 and only.items is None,
        names=frozenset[str]().union(*(text.names for text in texts)),
        secret_names=_secrets_in(texts),
        most_retries=max((step.retry.max_retries for step in steps_of(payload) if step.retry), default=0),
    )


def _compiled(step: Step) -> StepProgram:
    match step.foreach:
        case None:
            items: Expression | Template | None = None
        case str() as text:
            items = compile_condition(text)
        case list() as listed:
            items = compile_template(listed)
    return StepProgram(
        step=step,
        spec=CATALOGUE.get(step.uses),
        arguments=compile_template(step.arguments),
        condition=None if step.condition is None else compile_condition(step.condition),
        items=items,
    )


def _secrets_in(texts: list[Expression | Template]) -> frozenset[str] | None:
    found: set[str] = set()
    for text in texts:
        if "secrets" in text.names:
            members = text.members("secrets")
            if members is None:
                return None
            found |= members
    return frozenset(found)
