"""`/tasks/batch` and `/tasks/bulk`: many tasks by one request."""

from typing import TypeAlias

from litestar import Controller, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import Act, CurrentAct
from services.gateway.http.documentation import OF_PIPELINES, OF_SCHEDULES, answers, fails
from services.gateway.http.forms import JSON, takes_batch
from services.gateway.http.replies import Reply, reply
from services.gateway.limits.requests import creates_tasks
from services.gateway.tasks.batches import TaskBatches
from services.gateway.tasks.bulk import BulkAction, BulkActions, check_filter
from services.gateway.tasks.judging import read_batch
from services.gateway.tasks.wire import BulkDone, BulkOptions, TaskBatch, TasksCreated
from shared.vocabulary.limits import BATCH_BODY_BYTES
from shared.vocabulary.scopes import Scope

Bulk: TypeAlias = NamedDependency[BulkActions]
Options: TypeAlias = JSONBody[BulkOptions]

WRITE = requires(Scope.TASKS_WRITE)


class ManyTasksController(Controller):
    path = "/tasks"
    tags = ("tasks",)

    @post(
        "/batch",
        opt=WRITE
        | creates_tasks()
        | takes_batch({JSON: read_batch})
        | fails(*OF_SCHEDULES, *OF_PIPELINES, "quota_exceeded", "already_exists", "unknown_agent")
        | answers(200),
        request_max_body_size=BATCH_BODY_BYTES,
        summary="Create up to 1,000 tasks",
    )
    async def create_tasks(
        self, act: CurrentAct, batches: NamedDependency[TaskBatches], data: JSONBody[TaskBatch]
    ) -> Response[TasksCreated]:
        """All of them, or none when one of them is wrong: then each fault is told by its place, such as
        `tasks[3].schedule_expr`, 50 at most. The answer names them in the order in which they were sent. A task for
        which an earlier one stands, within its `dedupe_window_seconds`, is answered as that one; when none is new, the
        status is 200."""
        accepted = await batches.accept(act.caller, data.tasks)

        async def change(connection: AsyncConnection) -> Reply:
            made = await batches.create(connection, act, accepted)
            return reply(made, status=201 if made.created else 200)

        return await act.write(change, creates=len(accepted))

    @post("/bulk/pause", opt=WRITE | fails("busy"), status_code=200, summary="Pause all tasks that a filter means")
    async def pause_tasks(self, act: CurrentAct, bulk: Bulk, data: Options) -> Response[BulkDone]:
        """The active ones, up to 1,000 by one request: `details.remaining` says how many are left. Each is paused as if
        it were asked for alone, and stays so whatever becomes of the rest. With `dry_run`, it is only said which."""
        return await _carried_out(act, bulk, BulkAction.PAUSE, data)

    @post("/bulk/resume", opt=WRITE | fails("busy"), status_code=200, summary="Resume all tasks that a filter means")
    async def resume_tasks(self, act: CurrentAct, bulk: Bulk, data: Options) -> Response[BulkDone]:
        """The paused ones, up to 1,000 by one request: `details.remaining` says how many are left. Each is resumed as
        if it were asked for alone; those that cannot be are told in `details.failed`. With `dry_run`, it is only said
        which."""
        return await _carried_out(act, bulk, BulkAction.RESUME, data)

    @post("/bulk/cancel", opt=WRITE | fails("busy"), status_code=200, summary="Cancel all tasks that a filter means")
    async def cancel_tasks(self, act: CurrentAct, bulk: Bulk, data: Options) -> Response[BulkDone]:
        """The active and the paused ones, for good, up to 1,000 by one request: `details.remaining` says how many are
        left. Each is canceled as if it were asked for alone. With `dry_run`, it is only said which."""
        return await _carried_out(act, bulk, BulkAction.CANCEL, data)


async def _carried_out(act: Act, bulk: BulkActions, action: BulkAction, options: BulkOptions) -> Response[BulkDone]:
    check_filter(options.filter)
    bulk.seats.check()

    async def change(_connection: AsyncConnection) -> Reply:
        if options.dry_run:
            return reply(await bulk.preview(act, action, options))
        return reply(await bulk.carry_out(act, action, options))

    with bulk.seats.taken():
        return await act.write(change)
