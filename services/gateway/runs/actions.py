"""What can be done with a run from outside. Each action is one transaction, with its audit entry."""

from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.quotas import check_runs_left
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.runs import repository
from services.gateway.runs.service import no_such_run, run_finished
from services.gateway.runs.steps import lock_run
from services.gateway.runs.wire import CancelRun
from services.gateway.tasks.repository import hold_task
from services.gateway.tasks.standing import no_such_task, not_active
from shared.streams.broadcast import Broadcast
from shared.streams.doorbell import Bell
from shared.vocabulary.faults import Conflict
from shared.vocabulary.ids import occurrence_id
from shared.vocabulary.states import RunStatus, TaskStatus


class RunActions:
    async def cancel(self, connection: AsyncConnection, act: Act, run_id: UUID, options: CancelRun) -> ActionDone:
        """At once, unless an executor holds it: then it is asked to stop. Also of one that was asked already."""
        await lock_run(connection, run_id)
        status, task_id = await _find(connection, act, run_id)
        if status == RunStatus.CANCELED:
            return _done("The run is canceled already.", run_id, status)
        if status.is_final:
            raise run_finished(status)
        message = f"The run was canceled: {options.reason}" if options.reason else "The run was canceled."
        is_new = await repository.request_cancel(connection, run_id, message)
        is_over = await repository.cancel_released(connection, run_id)
        status = RunStatus.CANCELED if is_over else RunStatus.RUNNING
        details = {"reason": options.reason, "task_id": str(task_id), "status": status}
        if is_new:
            await record(connection, act, Action.RUN_CANCELED, run_id, details)
        # What stood back for it may go now; or whoever holds it is told.
        act.ring(Bell.DUE_WORK if is_over else Broadcast.CANCELS)
        act.tell_run(run_id, status)
        return _done("The run is canceled." if is_over else "The run is being stopped.", run_id, status)

    async def replay(self, connection: AsyncConnection, act: Act, run_id: UUID) -> ActionDone:
        """The same task with the same event, as it is defined now. Also of a paused task, and one that is completed."""
        status, task_id = await _find(connection, act, run_id)
        if not status.is_final:
            raise Conflict(f"The run is {status}; only a finished run can be replayed.", error_code="run_not_finished")
        task = await hold_task(connection, task_id, act.caller.owner_filter)
        if task is None:
            raise no_such_task()
        if task["status"] == TaskStatus.CANCELED:
            raise not_active(task["status"])
        await check_runs_left(connection, task["agent_id"])
        new_id = occurrence_id(task_id, task["schedule_rev"], task["now"], f"replay:{uuid4()}")
        await repository.insert_replay(
            connection, new_id, run_id, task, traceparent=act.traceparent, trace_id=act.trace_id
        )
        await record(connection, act, Action.RUN_REPLAYED, new_id, {"replay_of": str(run_id), "task_id": str(task_id)})
        act.ring(Bell.DUE_WORK)
        act.tell_run(new_id, RunStatus.QUEUED)
        return ActionDone("The run is done again.", {"run_id": new_id, "replay_of": run_id, "task_id": task_id})


async def _find(connection: AsyncConnection, act: Act, run_id: UUID) -> tuple[RunStatus, UUID]:
    found = await repository.find_status(connection, run_id, act.caller.owner_filter)
    if found is None:
        raise no_such_run()
    return found


def _done(message: str, run_id: UUID, status: RunStatus) -> ActionDone:
    return ActionDone(message, {"run_id": run_id, "status": status})
