"""What can be asked about runs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.http.faults import invalid_query
from services.gateway.runs import repository
from services.gateway.runs.wire import RunFilter, RunView
from shared.vocabulary.faults import FieldFault, NotFound

RANGE_MAX = timedelta(days=366)


class RunService:
    async def find(self, connection: AsyncConnection, caller: Identity, run_id: UUID) -> RunView:
        view = await repository.find_run(connection, run_id, caller.owner_filter)
        if view is None:
            raise NotFound("There is no such run.")
        return view

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: RunFilter, limit: int, offset: int
    ) -> tuple[list[RunView], int]:
        return await repository.list_runs(connection, filters, caller.owner_filter, limit, offset)

    async def latest(self, connection: AsyncConnection, caller: Identity, task_id: UUID) -> RunView:
        view = await repository.find_latest_run(connection, task_id, caller.owner_filter)
        if view is not None:
            return view
        if await repository.task_exists(connection, task_id, caller.owner_filter):
            raise NotFound("This task has no run yet.")
        raise NotFound("There is no such task.")


def checked(filters: RunFilter) -> RunFilter:
    """Raises BadRequest for a range that makes no sense."""
    start = _in_utc("start_time", filters.start_time)
    end = _in_utc("end_time", filters.end_time)
    if start is not None and end is not None:
        if end <= start:
            raise _wrong("end_time", "The end of the range must lie after its start.", "out_of_range")
        if end - start > RANGE_MAX:
            raise _wrong("end_time", f"A range has at most {RANGE_MAX.days} days.", "out_of_range")
    return msgspec.structs.replace(filters, start_time=start, end_time=end)


def _in_utc(name: str, moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        message = "Give the offset from UTC, such as 2030-01-31T09:00:00Z; in a URL, + is written %2B."
        raise _wrong(name, message, "invalid_datetime")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise _wrong(name, "This instant lies outside the years 1 to 9999.", "invalid_datetime") from None


def _wrong(name: str, message: str, code: str) -> Exception:
    return invalid_query([FieldFault(name, message, code)])
