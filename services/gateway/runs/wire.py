"""Runs as they are answered, and what can be asked of them."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import UUID

import msgspec

from shared.vocabulary.limits import LOG_LINE_BYTES, LOG_LINES_PER_RUN, NOTE_CHARACTERS, WAIT_SECONDS
from shared.vocabulary.states import RunStatus, Source, StepStatus, WaitKind

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
# Checked once more in bytes: a character has up to four.
LogText: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=LOG_LINE_BYTES)]
StepId: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


RunSort: TypeAlias = Literal["-scheduled_for", "scheduled_for"]
LogSort: TypeAlias = Literal["seq", "-seq"]

# Instead of the message of an error, where a list was not asked for it.
ERROR_HINT = "Ask with include_errors=true to read the message."


class RunFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What None says nothing about. `start_time` inclusive, `end_time` exclusive, both of `scheduled_for`.
    `include_errors` filters nothing: with the messages of errors."""

    task_id: UUID | None = None
    status: RunStatus | None = None
    success: bool | None = None
    source: Source | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    created_by: UUID | None = None
    include_errors: bool = False


class RunError(msgspec.Struct, frozen=True, kw_only=True, rename={"error_class": "class"}):
    """The kind of failure, in words, and whether another attempt could succeed. `step` and `attempt`: where it
    happened, if anywhere. `next_retry_at`: when it is tried again, if it is."""

    error_class: str = "internal"
    message: str = ""
    retryable: bool = False
    step: str | None = None
    attempt: int | None = None
    next_retry_at: datetime | None = None


class StepView(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a run. While it waits for its target, `output.heartbeat` is what that told last. Of many large
    outputs the later ones are left out: `is_output_omitted` says so."""

    id: str
    status: StepStatus
    attempt: int
    output: Any
    is_output_omitted: bool
    error: RunError | None
    started_at: datetime
    finished_at: datetime | None
    wait_kind: WaitKind | None
    deadline_at: datetime | None


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that failed, or whose executor was lost. `executor` is null where that was not written down."""

    attempt: int
    executor: str | None
    started_at: datetime | None
    finished_at: datetime
    error: RunError


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One occurrence and what became of it. `success` is null until it has an outcome. `next_attempt_at`: when a run
    that waits or is to be tried again goes on at the latest. `cancel_requested_at`: since when it is asked to stop.
    In a list, an output that is large is left out: `is_output_omitted` says so."""

    id: UUID
    task_id: UUID
    scheduled_for: datetime
    status: RunStatus
    success: bool | None
    attempt: int
    source: Source
    started_at: datetime | None
    finished_at: datetime | None
    next_attempt_at: datetime | None
    cancel_requested_at: datetime | None
    lease_owner: str | None
    error: RunError | None
    output: Any
    is_output_omitted: bool
    skip_reason: str | None
    replay_of: UUID | None
    trace_id: str | None
    created_by: UUID


class RunStory(RunView, frozen=True, kw_only=True):
    """A run with all that is known of it. `event` is what it was given; `attempts` are those that did not succeed. A
    pipeline of one step that has not waited is told by the run itself: it has no `steps`."""

    event: Any
    steps: list[StepView]
    attempts: list[AttemptView]


class LogLine(msgspec.Struct, frozen=True):
    """What the target of a run told. `seq` grows from line to line."""

    seq: int
    at: datetime
    level: LogLevel
    message: str


class CancelRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` is shown as the error of the run, and goes into the audit trail."""

    reason: Annotated[str, msgspec.Meta(max_length=NOTE_CHARACTERS)] | None = None


class NoRunOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class OfStep(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`step_id`: which step is meant. The token of a step says it already; an agent says it when several steps wait."""

    step_id: StepId | None = None


class CompleteStep(OfStep, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`output`: any JSON value; it becomes the output of the step."""

    output: Any = None


class FailStep(OfStep, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`retryable`: whether trying again, as the step or the task says, could succeed."""

    message: Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
    retryable: bool = False
    output: Any = None


class Heartbeat(OfStep, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`extend_seconds`: how much longer the step may wait, from now; left out: as long as it was meant to wait at
    first. `progress`: any JSON value; it is shown until the step has its output."""

    extend_seconds: Annotated[float, msgspec.Meta(gt=0, le=WAIT_SECONDS)] | None = None
    progress: Any = None


class Extended(msgspec.Struct, frozen=True):
    """`deadline_at`: null while the step has not begun to wait, because its call is still being answered."""

    deadline_at: datetime | None


class NewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    message: LogText
    level: LogLevel = "info"


class WriteLog(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either one line, `message` with its `level`, or several `lines`."""

    message: LogText | None = None
    level: LogLevel | None = None
    lines: Annotated[list[NewLine], msgspec.Meta(min_length=1, max_length=LOG_LINES_PER_RUN)] | None = None


class Logged(msgspec.Struct, frozen=True):
    """`dropped`: lines for which the log of the run has no more room."""

    logged: int
    dropped: int
