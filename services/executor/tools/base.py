"""What every tool of a pipeline is given, must do, and may raise."""

from collections.abc import Mapping
from typing import Protocol
from uuid import UUID

import msgspec

from shared.vocabulary.states import ErrorClass


class StepContext(msgspec.Struct, frozen=True):
    """Where a call comes from. `idempotency_key` is the same for every attempt at this step."""

    run_id: UUID
    step_id: str
    attempt: int
    idempotency_key: str
    traceparent: str | None = None


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
    def name(self) -> str:
        """The word after `uses` in a step."""

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        """Acts once and returns what JSON can hold and Postgres can store; raises nothing but ToolFault."""

    async def close(self) -> None:
        """Lets go of connections; may be called twice."""
