"""The form of a task's payload: parameters, and the steps that act on them."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec

from shared.vocabulary.limits import (
    FOREACH_CONCURRENCY_DEFAULT,
    FOREACH_ITEMS,
    MAX_RETRIES,
    STEPS_PER_PIPELINE,
    TIMEOUT_SECONDS,
)
from shared.vocabulary.states import BackoffStrategy

NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
StepName = Annotated[str, msgspec.Meta(pattern=NAME)]
StepTimeout = Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)]


class StepRetry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How often this step is tried again, in place of the task's own policy."""

    max_retries: Annotated[int, msgspec.Meta(ge=0, le=MAX_RETRIES)]
    backoff_strategy: BackoffStrategy = BackoffStrategy.EXPONENTIAL_JITTER


class Step(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"arguments": "with", "condition": "if"},
):
    """One action. `uses` names the tool, `with` holds its input, in which `${…}` is a CEL expression.

    `if` is one CEL expression: false skips the step. `save_as` keeps the bare output as `steps.<save_as>`, beside
    `steps.<id>` with `status`, `output` and `error`. `foreach` is a list, or an expression that gives one: the step
    runs once for each `item` (with its `index`), `concurrency` at a time, and its output is the list of outputs.
    `on_error`: what a failure that no retry mends does to the run. `on_unknown`: what happens when an executor was lost
    while the step ran, so that nobody knows whether it acted: send it again under the same key, or fail the run.
    """

    id: StepName
    uses: str
    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    save_as: StepName | None = None
    condition: str | None = None
    foreach: list[Any] | str | None = None
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=FOREACH_ITEMS)] = FOREACH_CONCURRENCY_DEFAULT
    timeout_seconds: StepTimeout | None = None
    retry: StepRetry | None = None
    on_error: Literal["fail", "continue"] = "fail"
    on_unknown: Literal["retry", "fail"] = "retry"


class Parallel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Steps that run at the same time. None can use the results of another."""

    parallel: Annotated[list[Step], msgspec.Meta(min_length=1, max_length=STEPS_PER_PIPELINE)]


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a task does: the steps and groups of `pipeline`, one after the other."""

    pipeline: Annotated[
        list[dict[str, Any]],
        msgspec.Meta(
            min_length=1,
            max_length=STEPS_PER_PIPELINE,
            description="Steps {id, uses, with, …} and groups {parallel: [step, …]}; GET /tools shows their schemas.",
        ),
    ]
    params: dict[str, Any] = msgspec.field(default_factory=dict)

    @property
    def groups(self) -> list[tuple[Step, ...]]:
        """The pipeline in its order: a step is a group of one. Raises msgspec.ValidationError."""
        return [group_of(entry) for entry in self.pipeline]


def group_of(entry: dict[str, Any]) -> tuple[Step, ...]:
    """msgspec tells structs of a union apart by a tag, which steps have none of; the key `parallel` is theirs."""
    if "parallel" in entry:
        return tuple(msgspec.convert(entry, Parallel).parallel)
    return (msgspec.convert(entry, Step),)


def steps_of(payload: Payload) -> Iterator[Step]:
    for group in payload.groups:
        yield from group
