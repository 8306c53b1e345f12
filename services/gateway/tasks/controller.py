"""`/tasks`."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.conditions import IfMatch
from services.gateway.http.documentation import OF_PIPELINES, OF_SCHEDULES, answers, fails, sends
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from services.gateway.http.replies import ActionDone, Reply, etag, reply
from services.gateway.limits.requests import creates_tasks
from services.gateway.tasks.actions import TaskActions
from services.gateway.tasks.conditions import Conditions, IfNoneMatch, key_in, with_key
from services.gateway.tasks.occurrences import OccurrenceActions
from services.gateway.tasks.outcome import RunOutcomes
from services.gateway.tasks.service import TaskService, checked
from services.gateway.tasks.wire import (
    NoOptions,
    PauseOptions,
    RunNowDone,
    SkipOptions,
    SnoozeOptions,
    TaskFilter,
    TaskSort,
    TaskUpdate,
    TaskView,
)
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.limits import (
    DEDUPE_KEY_CHARACTERS,
    PAGE_DEFAULT,
    PRIORITY_HIGHEST,
    PRIORITY_LOWEST,
    RUN_WAIT_SECONDS,
    SEARCH_CHARACTERS,
    TAG_CHARACTERS,
)
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import RunStatus, ScheduleKind, TaskStatus

TaskKey: TypeAlias = Annotated[str, PathParameter(description="The dedupe_key, percent-encoded.")]
TagQuery: TypeAlias = Annotated[
    str | None, QueryParameter(min_length=1, max_length=TAG_CHARACTERS, description="One of the task's tags.")
]
CreatedBy: TypeAlias = Annotated[
    UUID | None, QueryParameter(description="The tasks of one agent; only an admin sees those of others.")
]
PriorityQuery: TypeAlias = Annotated[int | None, QueryParameter(ge=PRIORITY_HIGHEST, le=PRIORITY_LOWEST)]
KeyQuery: TypeAlias = Annotated[
    str | None,
    QueryParameter(min_length=1, max_length=DEDUPE_KEY_CHARACTERS, description="Tasks with this key, be they ended."),
]
TitleQuery: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=SEARCH_CHARACTERS,
        description="Part of the title, as it stands there but for capitals: no character means anything else. One or "
        "two characters are looked for in the newest 20,000 tasks only.",
    ),
]
NextRunAfter: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="next_run_at is then or later; with its offset from UTC.")
]
NextRunBefore: TypeAlias = Annotated[
    datetime | None, QueryParameter(description="next_run_at is earlier; at most 366 days after next_run_after.")
]
RunWait: TypeAlias = Annotated[
    int, QueryParameter(ge=0, le=RUN_WAIT_SECONDS, description="How many seconds to wait for the outcome of the run.")
]
SortOfTasks: TypeAlias = Annotated[
    TaskSort,
    QueryParameter(description="With a - the greatest first. Tasks of one priority are sorted by their creation."),
]
Action: TypeAlias = Callable[[AsyncConnection], Awaitable[ActionDone]]
Tasks: TypeAlias = NamedDependency[TaskService]
Actions: TypeAlias = NamedDependency[TaskActions]
Occurrences: TypeAlias = NamedDependency[OccurrenceActions]
Options: TypeAlias = JSONBody[NoOptions | None]

DEDUPLICATED = "Deduplicated"
READ, WRITE = requires(Scope.TASKS_READ), requires(Scope.TASKS_WRITE)


class TaskController(Controller):
    path = "/tasks"
    tags = ("tasks",)

    @post(
        opt=WRITE
        | creates_tasks()
        | fails(*OF_SCHEDULES, *OF_PIPELINES, "quota_exceeded", "already_exists", "unknown_agent")
        | answers(200)
        | sends("Location", "ETag", DEDUPLICATED),
        summary="Create a task",
    )
    async def create_task(self, act: CurrentAct, tasks: Tasks, data: JSONBody[TaskCreate]) -> Response[TaskView]:
        """Answers the task with its first time. A task with a `dedupe_key` exists once for each agent, as long as it is
        active or paused. With `dedupe_window_seconds`, whoever creates it again so soon is answered the earlier task,
        whatever became of it: 200, and `Deduplicated: true`. What a step needs later, such as a secret, is looked up
        when it runs."""
        judged = await tasks.judge(act.caller, data)

        async def change(connection: AsyncConnection) -> Reply:
            task, is_new = await tasks.create(connection, act, judged)
            told = {} if is_new else {DEDUPLICATED: "true"}
            return _shown(task, 201 if is_new else 200, told)

        return await act.write(change)

    @put(
        "/by-key/{dedupe_key:path}",
        opt=WRITE
        | creates_tasks()
        | fails(*OF_SCHEDULES, *OF_PIPELINES, "quota_exceeded", "already_exists", "unknown_agent", "version_conflict")
        | answers(201)
        | sends("Location", "ETag"),
        summary="Declare a task by its key",
    )
    async def declare_task(
        self,
        *,
        request: Request[Any, Any, Any],
        act: CurrentAct,
        tasks: Tasks,
        dedupe_key: TaskKey,  # noqa: ARG002 (read from the path as it was sent)
        data: JSONBody[TaskCreate],
        if_match: IfMatch = None,
        if_none_match: IfNoneMatch = None,
    ) -> Response[TaskView]:
        """Creates the task (201), or changes the active or paused one that has this key to be as the body says (200):
        what is left out has its default. Said twice, it changes nothing the second time. A paused task stays paused.
        The key stands in the path percent-encoded; `dedupe_key` in the body is left out, or the same."""
        key = key_in(request.scope["raw_path"], b"/tasks/by-key/")
        judged = await tasks.judge(act.caller, with_key(data, key))

        async def change(connection: AsyncConnection) -> Reply:
            conditions = Conditions(if_match, if_none_match)
            task, is_new = await tasks.declare(connection, act, key, judged, conditions)
            return _shown(task, 201 if is_new else 200)

        return await act.write(change)

    @get(opt=READ, summary="List tasks")
    async def list_tasks(
        self,
        *,
        act: CurrentAct,
        tasks: Tasks,
        status: FromQuery[TaskStatus | None] = None,
        schedule_kind: FromQuery[ScheduleKind | None] = None,
        created_by: CreatedBy = None,
        tag: TagQuery = None,
        priority: PriorityQuery = None,
        dedupe_key: KeyQuery = None,
        q: TitleQuery = None,
        next_run_after: NextRunAfter = None,
        next_run_before: NextRunBefore = None,
        sort: SortOfTasks = "-created_at",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[TaskView]:
        """Those of the caller; to an admin, those of all. Sorted by `next_run_at` or filtered by it, only tasks that
        have a next run. A page far from the beginning is found at once by the `cursor`."""
        asked = TaskFilter(
            status=status,
            schedule_kind=schedule_kind,
            created_by=created_by,
            tag=tag,
            priority=priority,
            dedupe_key=dedupe_key,
            q=q,
            next_run_after=next_run_after,
            next_run_before=next_run_before,
        )
        filters = checked(asked)
        request = act.page_request(filters, sort=sort, limit=limit, offset=offset, cursor=cursor)
        found = await act.read_list(lambda connection: tasks.list(connection, act.caller, filters, request))
        return act.page(request, found)

    @get("/{task_id:uuid}", opt=READ | sends("ETag"), summary="Show a task")
    async def get_task(self, act: CurrentAct, tasks: Tasks, task_id: FromPath[UUID]) -> Response[TaskView]:
        """With its next time, its version, and why it is paused if it is."""
        task = await act.read(lambda connection: tasks.find(connection, act.caller, task_id))
        return Response(task, headers=etag(task.version))

    @put(
        "/{task_id:uuid}",
        opt=WRITE | fails(*OF_SCHEDULES, *OF_PIPELINES, "already_exists", "task_not_active") | sends("ETag"),
        summary="Change the given fields of a task",
    )
    async def update_task(
        self,
        act: CurrentAct,
        tasks: Tasks,
        task_id: FromPath[UUID],
        data: JSONBody[TaskUpdate],
        if_match: IfMatch = None,
    ) -> Response[TaskView]:
        """What is left out stays as it is. A change of the schedule begins anew from now: what waits of the old one is
        taken back."""

        async def change(connection: AsyncConnection) -> Reply:
            task = await tasks.change(connection, act, task_id, data, if_match)
            return reply(task, headers=etag(task.version))

        return await act.write(change)

    @post(
        "/{task_id:uuid}/run_now",
        opt=WRITE | fails("task_not_active", "quota_exceeded", "too_many_waiters") | answers(202),
        status_code=200,
        summary="Run a task at once",
    )
    async def run_task_now(
        self,
        *,
        request: Request[Any, Any, Any],
        act: CurrentAct,
        actions: Actions,
        outcomes: NamedDependency[RunOutcomes],
        task_id: FromPath[UUID],
        data: Options = None,
        wait: RunWait = 0,
    ) -> Response[RunNowDone]:
        """Beside its schedule, which stays as it is. `details.run_id` names the run. With `wait`, which also needs the
        scope `runs:read`, the answer comes when the run has its outcome and shows it in `run`; when it has none in
        time, the answer is 202 with the run as it stands."""
        if not wait:
            return await _done(act, lambda connection: actions.run_now(connection, act, task_id), data)
        with outcomes.place(act):
            answer = await _done(act, lambda connection: actions.run_now(connection, act, task_id), data)
            done = msgspec.json.decode(answer.content, type=RunNowDone)
            run = await outcomes.wait(request, act, UUID(str(done.details["run_id"])), wait)
        is_over = run is not None and RunStatus(run.status).is_final
        shown = msgspec.structs.replace(done, run=run)
        return Response(shown, status_code=200 if is_over else 202, headers=answer.headers)

    @post(
        "/{task_id:uuid}/pause",
        opt=WRITE | fails("task_not_active"),
        status_code=200,
        summary="Pause a task, or change how it is paused",
    )
    async def pause_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: JSONBody[PauseOptions | None] = None
    ) -> Response[ActionDone]:
        """What waits is taken back, what runs goes on. With `until` the task is active again by itself."""
        options = data or PauseOptions()
        return await _done(act, lambda connection: actions.pause(connection, act, task_id, options))

    @post(
        "/{task_id:uuid}/resume",
        opt=WRITE | fails("task_not_paused", "409 schedule_never_fires", "quota_exceeded"),
        status_code=200,
        summary="Resume a paused task",
    )
    async def resume_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        """Its schedule goes on from now; what it missed meanwhile is not made up for."""
        return await _done(act, lambda connection: actions.resume(connection, act, task_id), data)

    @post(
        "/{task_id:uuid}/cancel",
        opt=WRITE | fails("task_not_active"),
        status_code=200,
        summary="Cancel a task for good",
    )
    async def cancel_task(
        self, act: CurrentAct, actions: Actions, task_id: FromPath[UUID], data: Options = None
    ) -> Response[ActionDone]:
        """What waits is taken back, what runs is asked to stop. A canceled task stays readable and never runs again."""
        return await _done(act, lambda connection: actions.cancel(connection, act, task_id), data)

    @post(
        "/{task_id:uuid}/snooze",
        opt=WRITE | fails("task_not_active", "nothing_to_snooze", "schedule_never_fires"),
        status_code=200,
        summary="Let the next occurrence run later",
    )
    async def snooze_task(
        self, act: CurrentAct, occurrences: Occurrences, task_id: FromPath[UUID], data: JSONBody[SnoozeOptions]
    ) -> Response[ActionDone]:
        """Moves the one that waits next, at most 7 days, and no later one. Asked again, it moves the same further."""
        return await _done(act, lambda connection: occurrences.snooze(connection, act, task_id, data))

    @post(
        "/{task_id:uuid}/skip",
        opt=WRITE | fails("task_not_active", "already_started", "not_an_occurrence"),
        status_code=200,
        summary="Skip one occurrence",
    )
    async def skip_occurrence(
        self, act: CurrentAct, occurrences: Occurrences, task_id: FromPath[UUID], data: JSONBody[SkipOptions]
    ) -> Response[ActionDone]:
        """It is recorded as skipped, with the reason, and does not run."""
        return await _done(act, lambda connection: occurrences.skip(connection, act, task_id, data))


def _shown(task: TaskView, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> Reply:
    return reply(task, status=status, headers={"Location": f"/v1/tasks/{task.id}", **etag(task.version), **headers})


async def _done(act: Act, action: Action, _options: NoOptions | None = None) -> Response[Any]:
    async def change(connection: AsyncConnection) -> Reply:
        return reply(await action(connection))

    return await act.write(change)
