"""Writes the trail, always in the transaction of the change that it tells of; reads, exports and verifies it."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit import repository
from services.gateway.audit.chain import Chain
from services.gateway.audit.export import lines_of
from services.gateway.audit.verifying import Wanted, verify
from services.gateway.audit.wire import Action, Entry, EntryFilter, EntryView, ExportFormat, Verification
from services.gateway.auth.wire import Identity
from services.gateway.http.act import Act
from services.gateway.http.instants import query_instant, wrong_query
from services.gateway.http.paging import Found, PageRequest
from shared.vocabulary.faults import TooManyRequests

RANGE_MAX = timedelta(days=366)
# An entry of a page takes some 5 µs to write, in which nobody else is answered.
ENTRIES_AT_ONCE = 1000
EXPORTS_AT_ONCE = 4
VERIFICATIONS_AT_ONCE = 2
ASK_AGAIN_SECONDS = 5


async def record(
    connection: AsyncConnection, act: Act, action: Action, subject_id: UUID | str, details: Mapping[str, Any]
) -> None:
    caller = act.caller
    subject_type = action.partition(".")[0]
    entry = Entry(caller.agent_id, caller.name, action, subject_type, subject_id, details, act.request_id, act.trace_id)
    await repository.insert_entry(connection, entry)


async def record_all(
    connection: AsyncConnection, act: Act, action: Action, subjects: Sequence[tuple[UUID, Mapping[str, Any]]]
) -> None:
    """One entry for each subject with its details, in their order."""
    caller = act.caller
    subject_type = action.partition(".")[0]
    about = Entry(caller.agent_id, caller.name, action, subject_type, "", {}, act.request_id, act.trace_id)
    await repository.insert_entries(connection, about, subjects)


class Seats:
    """For what takes long: so many at once in one gateway."""

    def __init__(self, seats: int) -> None:
        self._free = seats

    def check(self) -> None:
        """Raises TooManyRequests where none is free."""
        if self._free <= 0:
            message = "Others are being answered the same; ask again shortly."
            raise TooManyRequests(message, error_code="busy", retry_after_seconds=ASK_AGAIN_SECONDS)

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        self._free -= 1
        try:
            yield
        finally:
            self._free += 1


class AuditService:
    def __init__(self) -> None:
        self._exports = Seats(EXPORTS_AT_ONCE)
        self._verifications = Seats(VERIFICATIONS_AT_ONCE)

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: EntryFilter, request: PageRequest
    ) -> Found[EntryView]:
        return await repository.find_entries(connection, filters, caller.owner_filter, request)

    async def verify(self, act: Act, wanted: Wanted) -> Verification:
        self._verifications.check()
        with self._verifications.taken():
            return await verify(Chain(act.read), wanted)

    async def export(self, act: Act, filters: EntryFilter, form: ExportFormat) -> AsyncIterator[bytes]:
        """What had been written when it began, oldest first. The first page is read here, so that an error until then
        is answered as any other."""
        self._exports.check()
        actor_id = act.caller.owner_filter
        bounded = await act.read_list(lambda connection: repository.bound(connection, filters))

        async def page_after(last: EntryView | None) -> Sequence[EntryView]:
            after = None if last is None else (last.at, last.seq)
            return await act.read_list(
                lambda connection: repository.next_entries(connection, bounded, actor_id, after, ENTRIES_AT_ONCE)
            )

        return self._seated(lines_of(await page_after(None), page_after, form))

    async def _seated(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """The seat is taken when the first line is asked for: what is never begun is never ended either."""
        with self._exports.taken():
            async for line in lines:
                yield line


def checked(filters: EntryFilter) -> EntryFilter:
    """Raises BadRequest for a range that makes no sense."""
    start = query_instant("start_time", filters.start_time)
    end = query_instant("end_time", filters.end_time)
    if start is not None and end is not None:
        _check_range(start, end)
    return msgspec.structs.replace(filters, start_time=start, end_time=end)


def _check_range(start: datetime, end: datetime) -> None:
    if end <= start:
        raise wrong_query("end_time", "The end of the range must lie after its start.", "out_of_range")
    if end - start > RANGE_MAX:
        raise wrong_query("end_time", f"A range has at most {RANGE_MAX.days} days.", "out_of_range")
