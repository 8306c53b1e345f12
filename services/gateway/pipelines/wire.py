"""Pipelines as they are sent to be looked at, and tools as they are shown."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from shared.pipeline.rehearsal import StepRehearsal
from shared.vocabulary.pipeline import Payload
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import ScheduleKind


class PipelineDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`event` is a sample of what the task would wait for; `schedule_kind` what it would be started by."""

    payload: Payload
    event: dict[str, Any] | None = None
    schedule_kind: ScheduleKind | None = None


class PipelineWarning(msgspec.Struct, frozen=True):
    """What would be accepted and may yet be a mistake. `field` is a path in the request."""

    field: str
    message: str


class Rehearsed(msgspec.Struct, frozen=True):
    """A pipeline that would be accepted."""

    steps: list[StepRehearsal]
    warnings: list[PipelineWarning]
    valid: Literal[True] = True


class ToolView(msgspec.Struct, frozen=True, kw_only=True):
    """`input_schema` is that of a step's `with`; both schemas are JSON Schema 2020-12. `example` is a step, `scope`
    what the task's owner must hold when the step runs. `can_wait`: it may park the run. `is_pure`: it changes nothing
    outside."""

    name: str
    summary: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    example: Mapping[str, Any]
    scope: Scope | None
    can_wait: bool
    is_pure: bool


class ToolList(msgspec.Struct, frozen=True):
    """All of them: there are no pages. `step_schema` is that of a step around its `with`, `group_schema` of steps side
    by side."""

    items: list[ToolView]
    step_schema: Mapping[str, Any]
    group_schema: Mapping[str, Any]
