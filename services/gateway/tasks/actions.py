"""What can be done with a task as a whole. Each action is one transaction, with its audit entry."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.quotas import check_runs_left
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.database import asking
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.tasks import repository
from services.gateway.tasks.cursors import planned_runs, point, stop
from services.gateway.tasks.standing import check_active, done, done_before, locked, no_such_task, not_active
from services.gateway.tasks.wire import PauseOptions, RunNowDone
from shared.streams.broadcast import Broadcast
from shared.streams.doorbell import Bell
from shared.tasks.fields import in_utc
from shared.tasks.room import check_room, hold_agent
from shared.tasks.schedule import next_time
from shared.timing.fault import NEVER_FIRES
from shared.timing.timetable import timetable_of
from shared.vocabulary.faults import Conflict, invalid_field
from shared.vocabulary.ids import occurrence_id
from shared.vocabulary.limits import PAUSE_DAYS
from shared.vocabulary.states import RunStatus, ScheduleKind, SkipReason, TaskStatus


class TaskActions:
    async def pause(self, connection: AsyncConnection, act: Act, task_id: UUID, options: PauseOptions) -> ActionDone:
        """Also of a paused task: its note and its end may change."""
        task = await locked(connection, act, task_id)
        if task["status"] not in (TaskStatus.ACTIVE, TaskStatus.PAUSED):
            raise not_active(task["status"])
        values = _changed(task, {"status": TaskStatus.PAUSED, **_pause_columns(options, task["now"])})
        until = values.get("paused_until", task["paused_until"])
        if not values:
            return done_before("The task is paused already.", task_id, TaskStatus.PAUSED, paused_until=until)
        if task["status"] == TaskStatus.ACTIVE:
            await stop(connection, task, SkipReason.TASK_PAUSED, **values)
        else:
            await repository.update_task(connection, task_id, values)
        await record(connection, act, Action.TASK_PAUSED, task_id, _told(task, values))
        return done("The task is paused.", task_id, TaskStatus.PAUSED, paused_until=until)

    async def cancel(self, connection: AsyncConnection, act: Act, task_id: UUID, note: str | None = None) -> ActionDone:
        task = await locked(connection, act, task_id)
        match task["status"]:
            case TaskStatus.CANCELED:
                return done_before("The task is canceled already.", task_id, TaskStatus.CANCELED)
            case TaskStatus.COMPLETED as status:
                raise not_active(status)
        values = {"status": TaskStatus.CANCELED, "paused_until": None}
        await stop(connection, task, SkipReason.TASK_CANCELED, **values)
        canceled = await repository.cancel_work(connection, task_id)
        act.ring(Broadcast.CANCELS)
        if canceled.ended:
            # What stood back for them may go.
            act.ring(Bell.DUE_WORK)
        details = {**_told(task, _changed(task, values)), "runs_asked_to_stop": canceled.asked, **_noted(note)}
        await record(connection, act, Action.TASK_CANCELED, task_id, details)
        return done("The task is canceled.", task_id, TaskStatus.CANCELED, runs_asked_to_stop=canceled.asked)

    async def resume(self, connection: AsyncConnection, act: Act, task_id: UUID, note: str | None = None) -> ActionDone:
        ask = asking(connection)
        if not act.caller.is_admin:
            await hold_agent(ask, act.caller.agent_id)
        task = await locked(connection, act, task_id)
        if task["status"] != TaskStatus.PAUSED:
            message = f"Only a paused task can be resumed; this one is {task['status']}."
            raise Conflict(message, error_code="task_not_paused")
        if not act.caller.is_admin:
            await check_room(ask, task["agent_id"])
        next_at = await _point_ahead(connection, task)
        values = {"status": TaskStatus.ACTIVE, "status_note": None, "paused_until": None, "schedule_error": None}
        details = {**_told(task, _changed(task, values)), **_noted(note)}
        values |= {"schedule_rev": task["schedule_rev"] + 1, "active_since": task["now"]}
        await repository.update_task(connection, task_id, values)
        await record(connection, act, Action.TASK_RESUMED, task_id, details)
        act.ring(Bell.TASK_CHANGES)
        return done("The task is active again.", task_id, TaskStatus.ACTIVE, next_run_at=next_at)

    async def run_now(self, connection: AsyncConnection, act: Act, task_id: UUID) -> ActionDone:
        task = await repository.hold_task(connection, task_id, act.caller.owner_filter)
        if task is None:
            raise no_such_task()
        check_active(task)
        await check_runs_left(connection, task["agent_id"])
        now = task["now"]
        run_id = occurrence_id(task_id, task["schedule_rev"], now, f"manual:{uuid4()}")
        await repository.insert_manual_work(connection, run_id, task, act.traceparent, act.trace_id)
        await record(connection, act, Action.TASK_RUN_NOW, task_id, {"run_id": str(run_id)})
        act.ring(Bell.DUE_WORK)
        act.tell_run(run_id, RunStatus.QUEUED)
        return RunNowDone("The task runs now.", {"run_id": run_id, "task_id": task_id, "scheduled_for": now})


async def _point_ahead(connection: AsyncConnection, task: Mapping[str, Any]) -> datetime | None:
    """A cursor at the next time from now on: what was missed stays missed. None for a task that waits for events."""
    if task["schedule_kind"] == ScheduleKind.EVENT:
        return None
    planned = await planned_runs(connection, task["id"], task["max_runs"])
    next_at = next_time(timetable_of(task), task["now"], planned, task["max_runs"])
    if next_at is None:
        message = "Nothing of the schedule lies ahead. Change the schedule, then resume the task."
        raise Conflict(message, error_code=NEVER_FIRES)
    await point(connection, task, task["schedule_rev"] + 1, next_at, planned)
    return next_at


def _pause_columns(options: PauseOptions, now: datetime) -> dict[str, Any]:
    given = {"status_note": options.note, "paused_until": options.until}
    if isinstance(options.until, datetime):
        given["paused_until"] = until = in_utc("until", options.until)
        if not now < until <= now + timedelta(days=PAUSE_DAYS):
            message = f"A pause ends in the future, at most {PAUSE_DAYS} days from now."
            raise invalid_field("until", message, "out_of_range")
    return {name: value for name, value in given.items() if value is not msgspec.UNSET}


def _changed(task: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value != task[name]}


def _noted(note: str | None) -> dict[str, str]:
    return {} if note is None else {"note": note}


def _told(task: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {"changed": {name: {"before": task[name], "after": value} for name, value in values.items()}}
