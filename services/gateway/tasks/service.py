"""What can be done with a task. Each change is one transaction, with its audit entry."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.tasks import repository
from services.gateway.tasks.changes import Changes, changes_of, check_version, timetable_of
from services.gateway.tasks.fields import clean_title, distinct, in_utc
from services.gateway.tasks.pipeline import Payload, check_pipeline
from services.gateway.tasks.schedule import Timetable, accept, compile_timetable, next_occurrence
from services.gateway.tasks.wire import TaskCreate, TaskFilter, TaskUpdate, TaskView
from shared.outbound.addresses import AddressPolicy
from shared.streams.doorbell import Bell
from shared.timing.fault import NEVER_FIRES, ScheduleFault
from shared.vocabulary.faults import Conflict, NotFound, invalid_field
from shared.vocabulary.ids import occurrence_id, uuid7
from shared.vocabulary.states import SkipReason, TaskStatus


class TaskService:
    def __init__(self, clock: DatabaseClock, policy: AddressPolicy) -> None:
        self._clock = clock
        self._policy = policy

    async def find(self, connection: AsyncConnection, caller: Identity, task_id: UUID) -> TaskView:
        view = await repository.find_task(connection, task_id, caller.owner_filter)
        if view is None:
            raise _no_such_task()
        return view

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: TaskFilter, limit: int, offset: int
    ) -> tuple[list[TaskView], int]:
        return await repository.list_tasks(connection, filters, caller.owner_filter, limit, offset)

    async def create(self, connection: AsyncConnection, act: Act, wanted: TaskCreate) -> TaskView:
        now = self._clock.now()
        task = _cleaned(wanted)
        check_pipeline(task.payload, self._policy)
        anchor_at = now.replace(microsecond=0)
        timetable = timetable_of({**msgspec.structs.asdict(task), "anchor_at": anchor_at})
        first_at = accept(timetable, now, act.caller.shortest_interval_seconds)
        owner_id = await _owner(connection, act.caller, task.created_by)
        task_id = uuid7(now)
        created_at = await repository.insert_task(
            connection,
            task_id,
            owner_id,
            task,
            anchor_at=anchor_at,
            first_at=first_at,
            traceparent=act.traceparent,
        )
        await record(connection, act, Action.TASK_CREATED, task_id, {"title": task.title, "owner": str(owner_id)})
        act.ring(Bell.TASK_CHANGES)
        return _view_of_new(task_id, owner_id, task, created_at, first_at)

    async def change(
        self, connection: AsyncConnection, act: Act, task_id: UUID, wanted: TaskUpdate, if_match: str | None
    ) -> TaskView:
        task = await _locked(connection, act, task_id)
        check_version(if_match, task["version"])
        if task["status"] not in (TaskStatus.ACTIVE, TaskStatus.PAUSED):
            raise _not_active(task["status"])
        if isinstance(wanted.payload, Payload):
            check_pipeline(wanted.payload, self._policy)
        changes = changes_of(task, wanted)
        if changes.values:
            await self._apply(connection, act, task, changes)
        return await self.find(connection, act.caller, task_id)

    async def pause(self, connection: AsyncConnection, act: Act, task_id: UUID) -> ActionDone:
        task = await _locked(connection, act, task_id)
        match task["status"]:
            case TaskStatus.PAUSED:
                return _done("The task is paused already.", task_id, TaskStatus.PAUSED)
            case TaskStatus.ACTIVE:
                await _stop(connection, task, TaskStatus.PAUSED, SkipReason.TASK_PAUSED)
                await record(connection, act, Action.TASK_PAUSED, task_id, _moved(task, TaskStatus.PAUSED))
                return _done("The task is paused.", task_id, TaskStatus.PAUSED)
            case status:
                raise _not_active(status)

    async def cancel(self, connection: AsyncConnection, act: Act, task_id: UUID) -> ActionDone:
        task = await _locked(connection, act, task_id)
        match task["status"]:
            case TaskStatus.CANCELED:
                return _done("The task is canceled already.", task_id, TaskStatus.CANCELED)
            case TaskStatus.COMPLETED as status:
                raise _not_active(status)
        await _stop(connection, task, TaskStatus.CANCELED, SkipReason.TASK_CANCELED)
        told = await repository.request_cancel(connection, task_id)
        details = {**_moved(task, TaskStatus.CANCELED), "runs_asked_to_stop": told}
        await record(connection, act, Action.TASK_CANCELED, task_id, details)
        return _done("The task is canceled.", task_id, TaskStatus.CANCELED, runs_asked_to_stop=told)

    async def resume(self, connection: AsyncConnection, act: Act, task_id: UUID) -> ActionDone:
        task = await _locked(connection, act, task_id)
        if task["status"] != TaskStatus.PAUSED:
            message = f"Only a paused task can be resumed; this one is {task['status']}."
            raise Conflict(message, error_code="task_not_paused")
        timetable = timetable_of(task)
        planned = await _planned(connection, task_id, timetable)
        next_at = next_occurrence(timetable, compile_timetable(timetable), task["now"], planned)
        if next_at is None:
            message = "Nothing of the schedule lies ahead. Change the schedule, then resume the task."
            raise Conflict(message, error_code=NEVER_FIRES)
        rev = task["schedule_rev"] + 1
        values = {"status": TaskStatus.ACTIVE, "status_note": None, "schedule_error": None, "schedule_rev": rev}
        await repository.update_task(connection, task_id, values)
        await repository.put_cursor(connection, task_id, rev, next_at, planned)
        await record(connection, act, Action.TASK_RESUMED, task_id, _moved(task, TaskStatus.ACTIVE))
        act.ring(Bell.TASK_CHANGES)
        return _done("The task is active again.", task_id, TaskStatus.ACTIVE, next_run_at=next_at)

    async def run_now(self, connection: AsyncConnection, act: Act, task_id: UUID) -> ActionDone:
        task = await repository.hold_task(connection, task_id, act.caller.owner_filter)
        if task is None:
            raise _no_such_task()
        if task["status"] != TaskStatus.ACTIVE:
            raise _not_active(task["status"])
        now = task["now"]
        run_id = occurrence_id(task_id, task["schedule_rev"], now, f"manual:{uuid4()}")
        await repository.insert_manual_work(connection, run_id, task, act.traceparent, act.trace_id)
        await record(connection, act, Action.TASK_RUN_NOW, task_id, {"run_id": str(run_id)})
        act.ring(Bell.DUE_WORK)
        return ActionDone("The task runs now.", {"run_id": run_id, "task_id": task_id, "scheduled_for": now})

    async def _apply(self, connection: AsyncConnection, act: Act, task: Mapping[str, Any], changes: Changes) -> None:
        values = dict(changes.values)
        if changes.is_new_schedule:
            values |= await _reschedule(connection, act.caller, task, changes)
            act.ring(Bell.TASK_CHANGES)
        await repository.update_task(connection, task["id"], values)
        await record(connection, act, Action.TASK_UPDATED, task["id"], changes.for_audit())


async def _reschedule(
    connection: AsyncConnection, caller: Identity, task: Mapping[str, Any], changes: Changes
) -> dict[str, Any]:
    """Take back what the old schedule made, point the cursor to the new one. The columns that follow from it."""
    anchor_at = task["now"].replace(microsecond=0) if changes.is_new_expression else task["anchor_at"]
    timetable = timetable_of({**task, **changes.values, "anchor_at": anchor_at})
    # An owner may move the end of a schedule that only an admin could have made so frequent.
    shortest = caller.shortest_interval_seconds if changes.is_new_frequency else 0
    next_at = accept(timetable, task["now"], shortest)
    rev = task["schedule_rev"] + 1
    await repository.withdraw_work(connection, task, SkipReason.SCHEDULE_CHANGED, is_schedule_only=True)
    planned = await _planned(connection, task["id"], timetable)
    if timetable.max_runs is not None and planned >= timetable.max_runs:
        raise ScheduleFault(f"The task has run {planned} times already.", code=NEVER_FIRES, field="max_runs")
    if task["status"] == TaskStatus.ACTIVE:
        await repository.put_cursor(connection, task["id"], rev, next_at, planned)
    return {"anchor_at": anchor_at, "schedule_rev": rev, "schedule_error": None}


async def _stop(connection: AsyncConnection, task: Mapping[str, Any], status: TaskStatus, reason: SkipReason) -> None:
    """No cursor: one without a next time would say that the schedule is exhausted."""
    await repository.withdraw_work(connection, task, reason)
    await repository.drop_cursor(connection, task["id"])
    values = {"status": status, "schedule_rev": task["schedule_rev"] + 1}
    await repository.update_task(connection, task["id"], values)


async def _planned(connection: AsyncConnection, task_id: UUID, timetable: Timetable) -> int:
    """Counted only where there is something to count for."""
    return 0 if timetable.max_runs is None else await repository.count_planned_runs(connection, task_id)


async def _locked(connection: AsyncConnection, act: Act, task_id: UUID) -> Mapping[str, Any]:
    task = await repository.lock_task(connection, task_id, act.caller.owner_filter)
    if task is None:
        raise _no_such_task()
    return {**task, "payload": msgspec.json.decode(task["payload"])}


async def _owner(connection: AsyncConnection, caller: Identity, created_by: UUID | None) -> UUID:
    if created_by is None or created_by == caller.agent_id:
        return caller.agent_id
    if not caller.is_admin:
        message = "Leave created_by out: a task belongs to the token's agent. Only an admin may name another."
        raise invalid_field("created_by", message, "unknown_field")
    if not await repository.is_active_agent(connection, created_by):
        raise invalid_field("created_by", "There is no active agent with this id.", "unknown_agent")
    return created_by


def _cleaned(task: TaskCreate) -> TaskCreate:
    """The values in the form in which they are stored."""
    return msgspec.structs.replace(
        task,
        title=clean_title(task.title),
        tags=distinct(task.tags),
        starts_at=None if task.starts_at is None else in_utc("starts_at", task.starts_at),
        ends_at=None if task.ends_at is None else in_utc("ends_at", task.ends_at),
    )


def _view_of_new(task_id: UUID, owner_id: UUID, task: TaskCreate, created_at: datetime, first_at: datetime) -> TaskView:
    computed = {
        "id": task_id,
        "status": TaskStatus.ACTIVE,
        "status_note": None,
        "schedule_error": None,
        "created_by": owner_id,
        "created_at": created_at,
        "updated_at": created_at,
        "version": 1,
        "next_run_at": first_at,
    }
    return TaskView(**(msgspec.structs.asdict(task) | computed | {"payload": task.payload}))


def _moved(task: Mapping[str, Any], status: TaskStatus) -> dict[str, Any]:
    return {"changed": {"status": {"before": task["status"], "after": status}}}


def _done(message: str, task_id: UUID, status: TaskStatus, **details: object) -> ActionDone:
    return ActionDone(message, {"task_id": task_id, "status": status, **details})


def _no_such_task() -> NotFound:
    return NotFound("There is no such task.")


def _not_active(status: str) -> Conflict:
    return Conflict(f"The task is {status}; this needs an active one.", error_code="task_not_active")
