"""What can be done with a task. Each change is one transaction, with its audit entry."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.database import asking
from services.gateway.http.act import Act
from services.gateway.http.conditions import check_version
from services.gateway.http.instants import query_instant, wrong_query
from services.gateway.http.paging import Found, PageRequest
from services.gateway.schedules.computing import Turns
from services.gateway.tasks import repository
from services.gateway.tasks.changes import Changes, as_update, changes_of
from services.gateway.tasks.conditions import Conditions
from services.gateway.tasks.cursors import reschedule
from services.gateway.tasks.standing import decoded, locked, no_such_task, not_active
from services.gateway.tasks.wire import TaskFilter, TaskUpdate, TaskView
from shared.outbound.addresses import AddressPolicy
from shared.streams.doorbell import Bell
from shared.tasks.creating import Accepted, accept_judged, dedupe_key_taken, judge_task
from shared.tasks.event_schedule import check_event_filter
from shared.tasks.execution import check_execution
from shared.tasks.repeated import find_recent, hold_keys
from shared.tasks.room import check_room
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.faults import Forbidden, invalid_field
from shared.vocabulary.ids import uuid7
from shared.vocabulary.scopes import Scope, is_granted
from shared.vocabulary.states import ScheduleKind, TaskStatus

# Judging takes about 15 µs for each character of an expression.
SOON_JUDGED_BYTES = 2048
RANGE_MAX = timedelta(days=366)


class Made(NamedTuple):
    """`is_new` False: it was there already."""

    task: TaskView
    is_new: bool


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
        self, connection: AsyncConnection, caller: Identity, filters: TaskFilter, request: PageRequest
    ) -> Found[TaskView]:
        return await repository.list_tasks(connection, filters, caller.owner_filter, request)

    async def judge(self, caller: Identity, wanted: TaskCreate) -> TaskCreate:
        """What `create` takes. Before its transaction, because there may be others to wait for. Raises Invalid."""
        check_may_listen(caller, wanted.schedule_kind)
        if is_soon_judged(wanted.payload):
            return judge_task(wanted, self._policy)
        return await self._computing.run(caller.agent_id, partial(judge_task, wanted, self._policy))

    async def create(self, connection: AsyncConnection, act: Act, wanted: TaskCreate) -> Made:
        """The new task, or the one that stands for it within its dedupe_window_seconds."""
        owner_id = await owner_of(connection, act.caller, wanted.created_by)
        for earlier in (await find_recent(asking(connection), owner_id, [wanted])).values():
            return Made(await self.find(connection, act.caller, earlier), is_new=False)
        made = await self._insert(connection, act, owner_id, wanted)
        if made is None:
            raise dedupe_key_taken()
        return Made(made, is_new=True)

    async def declare(
        self, connection: AsyncConnection, act: Act, dedupe_key: str, wanted: TaskCreate, conditions: Conditions
    ) -> Made:
        """The living task with this key, made to be as wanted; a new one where there is none."""
        owner_id = await owner_of(connection, act.caller, wanted.created_by)
        await hold_keys(asking(connection), owner_id, [dedupe_key])
        task = await repository.lock_task_with_key(connection, owner_id, dedupe_key)
        if task is None:
            conditions.check_absent()
            made = await self._insert(connection, act, owner_id, wanted)
            if made is not None:
                return Made(made, is_new=True)
            # Somebody created it otherwise meanwhile.
            task = await repository.lock_task_with_key(connection, owner_id, dedupe_key)
        if task is None:
            raise dedupe_key_taken()
        conditions.check_present(task["version"])
        return Made(await self._changed(connection, act, decoded(task), as_update(wanted)), is_new=False)

    async def change(
        self, connection: AsyncConnection, act: Act, task_id: UUID, wanted: TaskUpdate, if_match: str | None
    ) -> TaskView:
        task = await locked(connection, act, task_id)
        check_version(if_match, task["version"], "task")
        if task["status"] not in (TaskStatus.ACTIVE, TaskStatus.PAUSED):
            raise not_active(task["status"])
        return await self._changed(connection, act, task, wanted)

    async def _insert(
        self, connection: AsyncConnection, act: Act, owner_id: UUID, wanted: TaskCreate
    ) -> TaskView | None:
        """None where its dedupe_key is taken. Raises Forbidden for an agent that has as many as it may have."""
        now = self._clock.now()
        accepted = accept_judged(wanted, now, act.caller.shortest_interval_seconds)
        if not act.caller.is_admin:
            await check_room(asking(connection), owner_id)
        task_id = uuid7(now)
        created_at = await repository.insert_task(connection, task_id, owner_id, accepted, act.traceparent)
        if created_at is None:
            return None
        task = accepted.task
        await record(connection, act, Action.TASK_CREATED, task_id, {"title": task.title, "owner": str(owner_id)})
        act.ring(Bell.TASK_CHANGES)
        return _view_of_new(task_id, owner_id, accepted, created_at)

    async def _changed(
        self, connection: AsyncConnection, act: Act, task: Mapping[str, Any], wanted: TaskUpdate
    ) -> TaskView:
        changes = changes_of(task, wanted)
        if changes.values:
            await self._apply(connection, act, task, changes)
        return await self.find(connection, act.caller, task["id"])

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


def checked(filters: TaskFilter) -> TaskFilter:
    """Raises BadRequest for a range that makes no sense."""
    after = query_instant("next_run_after", filters.next_run_after)
    before = query_instant("next_run_before", filters.next_run_before)
    if after is not None and before is not None:
        if before <= after:
            message = "next_run_before must lie after next_run_after."
            raise wrong_query("next_run_before", message, "out_of_range")
        if before - after > RANGE_MAX:
            raise wrong_query("next_run_before", f"A range has at most {RANGE_MAX.days} days.", "out_of_range")
    return msgspec.structs.replace(filters, next_run_after=after, next_run_before=before)


def is_soon_judged(payload: object) -> bool:
    """Most tasks are: a thread and the wait for a turn would cost them more than the judgement."""
    return len(msgspec.json.encode(payload)) <= SOON_JUDGED_BYTES


def check_may_listen(caller: Identity, kind: ScheduleKind) -> None:
    """Events reach only who may read them: a task of anybody else would wait in vain."""
    if kind is ScheduleKind.EVENT and not is_granted(Scope.EVENTS_READ, caller.scopes):
        message = f"A task that waits for events needs an agent with {Scope.EVENTS_READ}."
        raise Forbidden(message, error_code="insufficient_scope")


async def owner_of(connection: AsyncConnection, caller: Identity, created_by: UUID | None) -> UUID:
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
