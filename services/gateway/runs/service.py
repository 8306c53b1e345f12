"""What can be asked about runs."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.http.instants import query_instant, wrong_query
from services.gateway.http.paging import Found, PageRequest
from services.gateway.runs import lists, repository
from services.gateway.runs.wire import LogLine, RunFilter, RunStory, RunView
from shared.vocabulary.faults import Conflict, NotFound
from shared.vocabulary.states import RunStatus

RANGE_MAX = timedelta(days=366)


class RunService:
    async def find(self, connection: AsyncConnection, caller: Identity, run_id: UUID) -> RunStory:
        view = await repository.find_run(connection, run_id, caller.owner_filter)
        if view is None:
            raise no_such_run()
        return view

    async def log(
        self, connection: AsyncConnection, caller: Identity, run_id: UUID, request: PageRequest
    ) -> Found[LogLine]:
        if await repository.find_status(connection, run_id, caller.owner_filter) is None:
            raise no_such_run()
        return await repository.list_log(connection, run_id, request)

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: RunFilter, request: PageRequest
    ) -> Found[RunView]:
        return await lists.list_runs(connection, filters, caller.owner_filter, request)

    async def latest(self, connection: AsyncConnection, caller: Identity, task_id: UUID) -> RunStory:
        view = await repository.find_latest_run(connection, task_id, caller.owner_filter)
        if view is not None:
            return view
        if await repository.task_exists(connection, task_id, caller.owner_filter):
            raise NotFound("This task has no run yet.")
        raise NotFound("There is no such task.")


def no_such_run() -> NotFound:
    return NotFound("There is no such run.")


def run_finished(status: RunStatus) -> Conflict:
    return Conflict(f"The run is {status} already.", error_code="run_finished")


def checked(filters: RunFilter) -> RunFilter:
    """Raises BadRequest for a range that makes no sense."""
    start = query_instant("start_time", filters.start_time)
    end = query_instant("end_time", filters.end_time)
    if start is not None and end is not None:
        if end <= start:
            raise wrong_query("end_time", "The end of the range must lie after its start.", "out_of_range")
        if end - start > RANGE_MAX:
            raise wrong_query("end_time", f"A range has at most {RANGE_MAX.days} days.", "out_of_range")
    return msgspec.structs.replace(filters, start_time=start, end_time=end)
