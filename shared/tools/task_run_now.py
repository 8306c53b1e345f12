"""`task.run_now`: another task runs at once."""

from uuid import UUID

import msgspec

from shared.tools.base import ToolSpec
from shared.vocabulary.limits import EVENT_DEPTH
from shared.vocabulary.scopes import Scope


class TaskRunNowInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    task_id: UUID


TASK_RUN_NOW = ToolSpec(
    name="task.run_now",
    summary="Run another task at once.",
    description="The task must be active and belong to the same agent, unless that one holds the scope admin. The step "
    "does not wait for the run. Tried again, it makes no second one. The run sees what caused it as `event.caused_by`. "
    f"A chain in which each run causes the next ends after {EVENT_DEPTH}.",
    input=TaskRunNowInput,
    output={
        "type": "object",
        "properties": {
            "run_id": {"type": "string", "format": "uuid"},
            "task_id": {"type": "string", "format": "uuid"},
        },
    },
    example={
        "id": "then",
        "uses": "task.run_now",
        "with": {"task_id": "0198f0a4-7c1e-7b3a-9d55-2f6c1e8a4b01"},
    },
    scope=Scope.TASKS_WRITE,
)
