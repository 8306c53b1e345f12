"""What every tool of a pipeline is given, must do, and may raise."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from shared.tools.base import ToolSpec
from shared.vocabulary.states import ErrorClass, WaitKind


class StepContext(msgspec.Struct, frozen=True, kw_only=True):
    """Where a call comes from. `idempotency_key` is the same for every attempt at this step; `fence` is the lease under
    which it is made: what a tool writes into our own database, it writes only while that lease holds. `scheduled_for`
    is the run's nominal time. `callback_token` lets the receiver speak for this step. `event_depth`: how many events
    led here, one after the other. `now`: the database's clock when the call began."""

    run_id: UUID
    task_id: UUID
    agent_id: UUID
    step_id: str
    attempt: int
    fence: int
    idempotency_key: str
    scheduled_for: datetime
    now: datetime
    callback_token: str
    event_depth: int = 0
    traceparent: str | None = None


class Waiting(msgspec.Struct, frozen=True):
    """An answer instead of an output: the run is parked for at most `seconds`. A `sleep` has then succeeded; whatever
    else is waited for is settled from outside, or the step has timed out. `output` is known already."""

    kind: WaitKind
    seconds: float
    output: object = None


class ToolFault(Exception):
    """A call that did not succeed. `output` is what is known all the same, such as the answer that came."""

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        output: object | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.output = output


class Tool(Protocol):
    """One kind of action. Many calls run at once in one event loop; none keeps state for the next."""

    @property
    def spec(self) -> ToolSpec:
        """Its name, its input and what it promises."""

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        """Acts once, with arguments that are rendered and not yet checked. Returns what JSON can hold and Postgres can
        store, or `Waiting`; raises nothing but ToolFault."""

    async def close(self) -> None:
        """Lets go of connections; may be called twice."""
