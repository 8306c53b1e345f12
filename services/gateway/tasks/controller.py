"""`/tasks`."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar import Controller, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.http.replies import ActionDone, Reply, etag, reply
from services.gateway.tasks.actions import TaskActions
from services.gateway.tasks.occurrences import OccurrenceActions
from services.gateway.tasks.service import TaskService
from services.gateway.tasks.wire import (
    NoOptions,
    PauseOptions,
    SkipOptions,
    SnoozeOptions,
    TaskFilter,
    TaskUpdate,
    TaskView,
)
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.limits import PAGE_DEFAULT, TAG_CHARACTERS
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import ScheduleKind, TaskStatus

IfMatch: TypeAlias = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag of the version that is to change.")
]
TagQuery: TypeAlias = Annotated[str | None, QueryParameter(max_length=TAG_CHARACTERS)]
Action: TypeAlias = Callable[[AsyncConnection], Awaitable[ActionDone]]
Tasks: TypeAlias = NamedDependency[TaskService]
Actions: TypeAlias = NamedDependency[TaskActions]
Occurrences: TypeAlias = NamedDependency[OccurrenceActions]
Options: TypeAlias = JSONBody[NoOptions | None]

READ, WRITE = requires(Scope.TASKS_READ), requires(Scope.TASKS_WRITE)


class TaskController(Controller):
    path = "/tasks"
    tags = ("tasks",)

    @post(opt=WRITE, summary="Create a task")
    async def create_task(self, act: CurrentAct, tasks: Tasks, data: JSONBody[TaskCreate]) -> Response[TaskView]:
        judged = await tasks.judge(act.caller, data)

        async def change(connection: AsyncConnection) -> Reply:
            task = await tasks.create(connection, act, judged)
            headers = {"Location": f"/v1/tasks/{task.id}", **etag(task.version)}
            return reply(task, status=201, headers=headers)

        return await act.write(change)

    @get(opt=READ, summary="List tasks, newest first")
    async def list_tasks(
        self,
        *,
        act: CurrentAct,
        tasks: Tasks,
        status: FromQuery[TaskStatus | None] = None,
        schedule_kind: FromQuery[ScheduleKind | None] = None,
        created_by: FromQuery[UUID | None] = None,
        tag: TagQuery = None,
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
    ) -> Page[TaskView]:
        filters = TaskFilter(status, schedule_kind, created_by, tag)
        items, total = await act.read(lambda connection: tasks.list(connection, act.caller, filters, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/{task_id:uuid}", opt=READ, summary="Show a task")
    async def get_task(self, act: CurrentAct, tasks: Tasks, task_id: FromPath[UUID]) -> Response[TaskView]:
        task = await act.read(lambda connection: tasks.find(connection, act.caller, task_id))
        return Response(task, headers=etag(task.version))

    @put("/{task_id:uuid}", opt=WRITE, summary="Change the given fields of a task")
    async def update_task(
        self,
        act: CurrentAct,
        tasks: Tasks,
        task_id: FromPath[UUID],
        data: JSONBody[TaskUpdate],
        if_match: IfMatch = None,
    ) -> Response[TaskView]:
        async def change(connection: AsyncConnection) -> Reply:
            task = await tasks.change(connection, act, task_id, data, if_match)
            return reply(task, headers=etag(task.version))

        return await act.write(change)

    @post("/{task_id:uuid}/run_now", opt=WRITE, status_code=200, summary="Run a task at once")
    async def run_task_now(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: actions.run_now(connection, act, task_id), data)

    @post("/{task_id:uuid}/pause", opt=WRITE, status_code=200, summary="Pause a task, or change how it is paused")
    async def pause_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: JSONBody[PauseOptions | None] = None
    ) -> Response[ActionDone]:
        options = data or PauseOptions()
        return await _done(act, lambda connection: actions.pause(connection, act, task_id, options))

    @post("/{task_id:uuid}/resume", opt=WRITE, status_code=200, summary="Resume a paused task")
    async def resume_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: actions.resume(connection, act, task_id), data)

    @post("/{task_id:uuid}/cancel", opt=WRITE, status_code=200, summary="Cancel a task for good")
    async def cancel_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: actions.cancel(connection, act, task_id), data)

    @post("/{task_id:uuid}/snooze", opt=WRITE, status_code=200, summary="Let the next occurrence run later")
    async def snooze_task(
        self, act: CurrentAct, occurrences: Occurrences, task_id: FromPath[UUID], data: JSONBody[SnoozeOptions]
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: occurrences.snooze(connection, act, task_id, data))

    @post("/{task_id:uuid}/skip", opt=WRITE, status_code=200, summary="Skip one occurrence")
    async def skip_occurrence(
        self, act: CurrentAct, occurrences: Occurrences, task_id: FromPath[UUID], data: JSONBody[SkipOptions]
    ) -> Response[ActionDone]:
        return await _done(act, lambda connection: occurrences.skip(connection, act, task_id, data))


async def _done(act: Act, action: Action, _options: NoOptions | None = None) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await action(connection))

    return await act.write(change)
