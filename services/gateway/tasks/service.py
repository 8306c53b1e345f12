"""What can be done with a task. Each change is one transaction, with its audit entry."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from services.gateway.schedules.computing import Turns
from services.gateway.tasks import repository
from services.gateway.tasks.changes import Changes, changes_of, check_version
from services.gateway.tasks.cursors import reschedule
from services.gateway.tasks.standing import locked, no_such_task, not_active
from services.gateway.tasks.wire import TaskFilter, TaskUpdate, TaskView
from shared.outbound.addresses import AddressPolicy
from shared.streams.doorbell import Bell
from shared.tasks.creating import Accepted, accept_judged, judge_task
from shared.tasks.event_schedule import check_event_filter
from shared.tasks.execution import check_execution
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.faults import Forbidden, invalid_field
from shared.vocabulary.ids import uuid7
from shared.vocabulary.scopes import Scope, is_granted
from shared.vocabulary.states import ScheduleKind, TaskStatus

# Judging takes about 15 µs for each character of an expression.
SOON_JUDGED_BYTES = 2048


class TaskService:
    def __init__(self, clock: DatabaseClock, policy: AddressPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._computing = Turns()

    async def find(self, connection: AsyncConnection, caller: Identity, task_id: UUID) -> TaskView:
        view = await repository.find_task(connection, task_id, caller.owner_filter)
        if view is None:
            raise no_such_task()
        return view

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: TaskFilter, limit: int, offset: int
    ) -> tuple[list[TaskView], int]:
        return await repository.list_tasks(connection, filters, caller.owner_filter, limit, offset)

    async def judge(self, caller: Identity, wanted: TaskCreate) -> TaskCreate:
        """What `create` takes. Before its transaction, because there may be others to wait for. Raises Invalid."""
        check_may_listen(caller, wanted.schedule_kind)
        if is_soon_judged(wanted.payload):
            return judge_task(wanted, self._policy)
        return await self._computing.run(caller.agent_id, partial(judge_task, wanted, self._policy))

    async def create(self, connection: AsyncConnection, act: Act, wanted: TaskCreate) -> TaskView:
        now = self._clock.now()
        accepted = accept_judged(wanted, now, act.caller.shortest_interval_seconds)
        owner_id = await _owner(connection, act.caller, wanted.created_by)
        task_id = uuid7(now)
        created_at = await repository.insert_task(connection, task_id, owner_id, accepted, act.traceparent)
        task = accepted.task
        await record(connection, act, Action.TASK_CREATED, task_id, {"title": task.title, "owner": str(owner_id)})
        act.ring(Bell.TASK_CHANGES)
        return _view_of_new(task_id, owner_id, accepted, created_at)

    async def change(
        self, connection: AsyncConnection, act: Act, task_id: UUID, wanted: TaskUpdate, if_match: str | None
    ) -> TaskView:
        task = await locked(connection, act, task_id)
        check_version(if_match, task["version"])
        if task["status"] not in (TaskStatus.ACTIVE, TaskStatus.PAUSED):
            raise not_active(task["status"])
        changes = changes_of(task, wanted)
        if changes.values:
            await self._apply(connection, act, task, changes)
        return await self.find(connection, act.caller, task_id)

    async def _apply(self, connection: AsyncConnection, act: Act, task: Mapping[str, Any], changes: Changes) -> None:
        values = dict(changes.values)
        wanted = {**task, **values}
        check_may_listen(act.caller, ScheduleKind(wanted["schedule_kind"]))
        judge = partial(check_execution, wanted, values, self._policy)
        if is_soon_judged(wanted["payload"]):
            judge()
        else:
            await self._computing.run(act.caller.agent_id, judge)
        check_event_filter(ScheduleKind(wanted["schedule_kind"]), wanted["event_filter"])
        if changes.is_new_schedule:
            values |= await reschedule(connection, act.caller, task, changes)
            act.ring(Bell.TASK_CHANGES)
        await repository.update_task(connection, task["id"], values)
        await record(connection, act, Action.TASK_UPDATED, task["id"], changes.for_audit())


def is_soon_judged(payload: object) -> bool:
    """Most tasks are: a thread and the wait for a turn would cost them more than the judgement."""
    return len(msgspec.json.encode(payload)) <= SOON_JUDGED_BYTES


def check_may_listen(caller: Identity, kind: ScheduleKind) -> None:
    """Events reach only who may read them: a task of anybody else would wait in vain."""
    if kind is ScheduleKind.EVENT and not is_granted(Scope.EVENTS_READ, caller.scopes):
        message = f"A task that waits for events needs an agent with {Scope.EVENTS_READ}."
        raise Forbidden(message, error_code="insufficient_scope")


async def _owner(connection: AsyncConnection, caller: Identity, created_by: UUID | None) -> UUID:
    if created_by is None or created_by == caller.agent_id:
        return caller.agent_id
    if not caller.is_admin:
        message = "Leave created_by out: a task belongs to the token's agent. Only an admin may name another."
        raise invalid_field("created_by", message, "unknown_field")
    if not await repository.is_active_agent(connection, created_by):
        raise invalid_field("created_by", "There is no active agent with this id.", "unknown_agent")
    return created_by


def _view_of_new(task_id: UUID, owner_id: UUID, accepted: Accepted, created_at: datetime) -> TaskView:
    task = accepted.task
    computed = {
        "id": task_id,
        "status": TaskStatus.ACTIVE,
        "status_note": None,
        "paused_until": None,
        "schedule_error": None,
        "created_by": owner_id,
        "created_at": created_at,
        "updated_at": created_at,
        "version": 1,
        "next_run_at": accepted.first_at,
    }
    return TaskView(**(msgspec.structs.asdict(task) | computed | {"payload": task.payload}))
