"""Where a call of a tool comes from, for tools that look at nothing but this."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from services.executor.tools.base import StepContext

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = StepContext(
    run_id=UUID("019b7f1e-0000-7000-8000-000000000001"),
    task_id=UUID("019b7f1e-0000-7000-8000-000000000002"),
    agent_id=UUID("019b7f1e-0000-7000-8000-000000000003"),
    step_id="call",
    attempt=1,
    fence=1,
    idempotency_key="019b7f1e-0000-7000-8000-000000000001:call",
    scheduled_for=NOW,
    now=NOW,
    callback_token="paor_token",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


def context_of(**overrides: Any) -> StepContext:  # noqa: ANN401 - fields of every type
    return msgspec.structs.replace(CONTEXT, **overrides)
