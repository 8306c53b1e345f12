"""How a task stands when a change begins: locked and read, or refused; and what an action on it answers."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.tasks import repository
from shared.vocabulary.faults import Conflict, NotFound
from shared.vocabulary.states import TaskStatus

JSON_COLUMNS = ("payload", "exclusions", "rate_limit", "on_success", "on_failure")


async def locked(connection: AsyncConnection, act: Act, task_id: UUID) -> dict[str, Any]:
    """The columns of the task with those of its cursor, as `repository.lock_task` gives them, their JSON decoded."""
    task = await repository.lock_task(connection, task_id, act.caller.owner_filter)
    if task is None:
        raise no_such_task()
    return decoded(task)


def decoded(task: dict[str, Any]) -> dict[str, Any]:
    return task | {name: msgspec.json.decode(task[name]) for name in JSON_COLUMNS if task[name] is not None}


def check_active(task: Mapping[str, Any]) -> None:
    if task["status"] != TaskStatus.ACTIVE:
        raise not_active(task["status"])


def no_such_task() -> NotFound:
    return NotFound("There is no such task.")


def not_active(status: str) -> Conflict:
    return Conflict(f"The task is {status}; this needs an active one.", error_code="task_not_active")


class Unchanged(ActionDone, frozen=True):
    """It was so already."""


def done_before(message: str, task_id: UUID, status: TaskStatus, **details: object) -> ActionDone:
    return Unchanged(message, {"task_id": task_id, "status": status, **details})


def done(message: str, task_id: UUID, status: TaskStatus, **details: object) -> ActionDone:
    return ActionDone(message, {"task_id": task_id, "status": status, **details})
