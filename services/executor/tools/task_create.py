"""The tool `task.create`: makes a task of the same owner, as `POST /tasks` does."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg

from services.executor.tools.base import StepContext
from services.executor.tools.checked import checked
from services.executor.tools.owner import Mandate, act_for_owner
from shared.database.asking import Ask, asking
from shared.outbound.addresses import AddressPolicy
from shared.runtime.bells import Bells
from shared.streams.doorbell import Bell
from shared.tasks.creating import (
    DEDUPE_KEY_TAKEN,
    SQL,
    Accepted,
    accept_task,
    dedupe_key_taken,
    insert_task,
)
from shared.tasks.quotas import shortest_interval_seconds
from shared.tasks.repeated import find_recent
from shared.tasks.room import check_room
from shared.tasks.wanted import TaskCreate
from shared.tools.base import ToolSpec
from shared.tools.task_create import TASK_CREATE, TaskCreateInput
from shared.vocabulary.faults import Forbidden, invalid_field
from shared.vocabulary.ids import id_of_step
from shared.vocabulary.limits import TASKS_OF_STEPS_PER_HOUR
from shared.vocabulary.scopes import Scope

FIELD = "with.task"


class Created(NamedTuple):
    """The task, or the one that stands for it within its dedupe_window_seconds."""

    task_id: UUID
    next_at: datetime | None


class TaskCreation:
    """The task's id is the step's, so that a step which is tried again creates no second one."""

    def __init__(self, pool: asyncpg.Pool, bells: Bells, policy: AddressPolicy) -> None:
        self._pool = pool
        self._bells = bells
        self._policy = policy

    @property
    def spec(self) -> ToolSpec:
        return TASK_CREATE

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        wanted = checked(arguments, TASK_CREATE, TaskCreateInput).task
        task_id = id_of_step(context.run_id, context.step_id)

        async def act(mandate: Mandate) -> Created:
            ask = asking(mandate.connection)
            made = await ask(SQL["find_next_time"], task_id)
            if made:
                return Created(task_id, made[0]["next_at"])
            # In a thread: it takes up to half a second, and renewals of leases do not wait.
            accepted = await asyncio.to_thread(self._accepted, mandate, wanted)
            for earlier in (await find_recent(ask, mandate.owner.agent_id, [accepted.task])).values():
                (found,) = await ask(SQL["find_next_time"], earlier)
                return Created(earlier, found["next_at"])
            await _insert(mandate, task_id, accepted)
            return Created(task_id, accepted.first_at)

        created = await act_for_owner(self._pool, context, Scope.TASKS_WRITE, act, field=FIELD)
        self._bells.want(Bell.TASK_CHANGES)
        next_run_at = None if created.next_at is None else created.next_at.isoformat()
        return {"task_id": str(created.task_id), "next_run_at": next_run_at}

    async def close(self) -> None:
        """What it works with belongs to the executor."""

    def _accepted(self, mandate: Mandate, wanted: TaskCreate) -> Accepted:
        owner = mandate.owner
        if wanted.created_by not in (None, owner.agent_id):
            message = "Leave created_by out: what a task creates belongs to its own agent."
            raise invalid_field("created_by", message, "unknown_field")
        shortest = shortest_interval_seconds(owner.min_interval_seconds, is_admin=owner.is_admin)
        return accept_task(wanted, mandate.context.now, self._policy, shortest)


async def _insert(mandate: Mandate, task_id: UUID, accepted: Accepted) -> None:
    ask, owner, context = asking(mandate.connection), mandate.owner, mandate.context
    await _check_quota(ask, owner.agent_id)
    try:
        await insert_task(ask, task_id, owner.agent_id, accepted, context.traceparent)
    except asyncpg.UniqueViolationError as error:
        if error.constraint_name == DEDUPE_KEY_TAKEN:
            raise dedupe_key_taken() from None
        raise
    details = {"title": accepted.task.title, "owner": str(owner.agent_id)}
    await mandate.record("task.created", task_id, details)


async def _check_quota(ask: Ask, agent_id: UUID) -> None:
    """So that tasks which create tasks come to an end, also those that make their like and are done."""
    await check_room(ask, agent_id)
    (made,) = await ask(SQL["count_tasks_of_steps"], agent_id, TASKS_OF_STEPS_PER_HOUR)
    if made["tasks"] >= TASKS_OF_STEPS_PER_HOUR:
        raise _quota_exceeded(f"Steps of the agent's runs have made {TASKS_OF_STEPS_PER_HOUR} tasks within an hour.")


def _quota_exceeded(message: str) -> Forbidden:
    return Forbidden(message, error_code="quota_exceeded")
