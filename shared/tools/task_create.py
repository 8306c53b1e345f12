"""`task.create`: a step makes a task."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.tasks.event_schedule import check_event_schedule
from shared.tasks.wanted import TaskCreate
from shared.timing.schedule import compile_schedule
from shared.tools.base import ToolSpec, is_open
from shared.vocabulary.decoding import invalid
from shared.vocabulary.faults import Invalid
from shared.vocabulary.limits import TASKS_OF_STEPS_PER_HOUR, TASKS_PER_AGENT
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import ScheduleKind

SCHEDULE = ("schedule_kind", "schedule_expr", "timezone")
# Where a schedule would begin makes no difference to whether it can be read.
SOME_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)


class TaskCreateInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`task` is the body of `POST /tasks`."""

    task: TaskCreate


def check_task_create(arguments: Mapping[str, Any], _policy: AddressPolicy, field: str) -> None:
    """The schedule, as far as it is known; what the task does is judged when it is created."""
    task = arguments.get("task")
    if not isinstance(task, Mapping) or any(is_open(task.get(name)) for name in SCHEDULE):
        return
    try:
        _check_schedule(ScheduleKind(task["schedule_kind"]), task["schedule_expr"], task.get("timezone", "UTC"))
    except Invalid as refusal:
        wrong = [
            msgspec.structs.replace(each, field=f"{field}.task.{each.field}") for each in refusal.validation_errors
        ]
        raise invalid(wrong) from None


def _check_schedule(kind: ScheduleKind, text: str, timezone: str) -> None:
    if kind is ScheduleKind.EVENT:
        check_event_schedule(text)
    else:
        compile_schedule(kind, text, timezone, anchor=SOME_INSTANT)


TASK_CREATE = ToolSpec(
    name="task.create",
    summary="Create a task.",
    description="`task` is the body of `POST /tasks`; the new task belongs to the agent whose task this is, and is "
    "judged by its limits and scopes of that time. Tried again, the step creates no second one. Expressions that the "
    "new task is to evaluate itself are written with two dollar signs: `$${event.payload.id}`. An agent has at most "
    f"{TASKS_PER_AGENT} active tasks, and its steps make at most {TASKS_OF_STEPS_PER_HOUR} in an hour.",
    input=TaskCreateInput,
    output={
        "type": "object",
        "properties": {
            "task_id": {"type": "string", "format": "uuid"},
            "next_run_at": {"type": ["string", "null"], "format": "date-time"},
        },
    },
    example={
        "id": "remind",
        "uses": "task.create",
        "with": {
            "task": {
                "title": "Ask again about ${event.payload.order}",
                "schedule_kind": "once",
                "schedule_expr": "${event.payload.due_at}",
                "payload": {
                    "params": {"order": "${event.payload.order}"},
                    "pipeline": [
                        {"id": "ask", "uses": "agent.deliver", "with": {"body": {"order": "$${params.order}"}}}
                    ],
                },
            }
        },
    },
    check=check_task_create,
    scope=Scope.TASKS_WRITE,
)
