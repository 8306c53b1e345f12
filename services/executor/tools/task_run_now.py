"""The tool `task.run_now`: makes a run of another task, as `POST /tasks/{id}/run_now` does."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from services.executor.tools.base import StepContext
from services.executor.tools.checked import checked
from services.executor.tools.owner import Mandate, act_for_owner
from shared.database.statements import load_statements
from shared.runtime.bells import Bells
from shared.streams.doorbell import Bell
from shared.telemetry.tracing import trace_id_in
from shared.tools.base import ToolSpec
from shared.tools.task_run_now import TASK_RUN_NOW, TaskRunNowInput
from shared.vocabulary.faults import Conflict, Invalid, NotFound
from shared.vocabulary.ids import id_of_step
from shared.vocabulary.limits import EVENT_DEPTH
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import TaskStatus

SQL = load_statements("services.executor", "sql/run_now.sql")


class TaskRunNow:
    """The run's id is the step's: it shows the time of the run that caused it, and there is one however often the step
    is tried."""

    def __init__(self, pool: asyncpg.Pool, bells: Bells) -> None:
        self._pool = pool
        self._bells = bells

    @property
    def spec(self) -> ToolSpec:
        return TASK_RUN_NOW

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        wanted = checked(arguments, TASK_RUN_NOW, TaskRunNowInput)
        run_id = id_of_step(context.run_id, context.step_id)

        async def act(mandate: Mandate) -> UUID:
            made: UUID | None = await mandate.connection.fetchval(SQL["find_made_run"].sql, run_id)
            return made or await _make(mandate, wanted.task_id, run_id)

        task_id = await act_for_owner(self._pool, context, Scope.TASKS_WRITE, act)
        self._bells.want(Bell.DUE_WORK)
        return {"run_id": str(run_id), "task_id": str(task_id)}

    async def close(self) -> None:
        """What it works with belongs to the executor."""


async def _make(mandate: Mandate, task_id: UUID, run_id: UUID) -> UUID:
    connection, owner, context = mandate.connection, mandate.owner, mandate.context
    if context.event_depth >= EVENT_DEPTH:
        message = f"{EVENT_DEPTH} runs or events led here, each caused by the one before: this looks like a loop."
        raise Invalid(message, error_code="event_loop")
    task = await connection.fetchrow(SQL["hold_task_to_run"].sql, task_id, None if owner.is_admin else owner.agent_id)
    if task is None:
        raise NotFound("There is no such task.")
    if task["status"] != TaskStatus.ACTIVE:
        raise Conflict(f"The task is {task['status']}; this needs an active one.", error_code="task_not_active")
    await connection.execute(
        SQL["insert_caused_work"].sql,
        *(run_id, task_id, task["agent_id"], task["schedule_rev"], task["priority"], task["concurrency_key"]),
        # The depth goes on from here, so that a loop of runs ends as well.
        {"depth": context.event_depth + 1, "caused_by": mandate.caused_by},
        *(context.traceparent, trace_id_in(context.traceparent)),
    )
    await mandate.record("task.run_now", task_id, {"run_id": str(run_id)})
    return task_id
