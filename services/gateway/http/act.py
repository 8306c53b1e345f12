"""One request at work: who acts, in which transaction, and what is rung after its commit."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.database import Database
from services.gateway.http.charge import charged
from services.gateway.http.idempotency import RepeatedCall, fingerprint, once, read_key
from services.gateway.http.paging import Cursors, Found, Page, PageRequest
from services.gateway.http.replies import Reply
from services.gateway.http.trail import AnyRequest, Trail, trail_of
from services.gateway.limits.requests import RequestLimits, rate_class_of
from services.gateway.replica import Readers
from shared.runtime.bells import Bells
from shared.runtime.run_updates import RunUpdates
from shared.streams.broadcast import Broadcast
from shared.streams.doorbell import Bell
from shared.streams.run_updates import RunChange
from shared.vocabulary.states import RunStatus

T = TypeVar("T")


class Act:
    """`caller` and the ids are what services need to know of the request."""

    def __init__(
        self,
        request: AnyRequest,
        database: Database,
        readers: Readers,
        cursors: Cursors,
        bells: Bells,
        *,
        limits: RequestLimits,
        run_updates: RunUpdates,
    ) -> None:
        trail: Trail = trail_of(request.scope)
        self._trail = trail
        self.run_token = trail.run_token
        self.request_id = trail.request_id
        self.traceparent = trail.traceparent
        self.trace_id = trail.trace_id
        self._request = request
        self._database = database
        self._readers = readers
        self._cursors = cursors
        self._bells = bells
        self._limits = limits
        self._run_updates = run_updates
        self._afterwards: list[Callable[[], None]] = []

    @property
    def caller(self) -> Identity:
        """Raises Unauthenticated for whoever only speaks for a step of a run."""
        return self._trail.identity

    def ring(self, bell: Bell | Broadcast, times: int = 1) -> None:
        """Once the change is committed; `times`: for so many pieces of work."""
        self.after_commit(lambda: self._bells.want(bell, times))

    def tell_run(self, run_id: UUID, status: RunStatus) -> None:
        """Once the change is committed, to whoever follows the run; for haste alone, they find it anyway."""
        self.after_commit(lambda: self._run_updates.tell([RunChange(run_id, None, status)]))

    def after_commit(self, tell: Callable[[], None]) -> None:
        """Done once, unless the change is refused or begun anew."""
        self._afterwards.append(tell)

    async def read(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """What has just been written is seen."""
        return await self._database.read(query)

    async def read_list(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Lists and statistics, which may be a moment old."""
        return await self._readers.read(query)

    def page_request(
        self, filters: msgspec.Struct | None, *, sort: str, limit: int, offset: int, cursor: str | None
    ) -> PageRequest:
        """Raises BadRequest for a cursor of another list, of other filters or of another agent."""
        return self._cursors.request(
            self.caller.agent_id, self._path, filters, sort=sort, limit=limit, offset=offset, cursor=cursor
        )

    def page(self, request: PageRequest, found: Found[T]) -> Page[T]:
        return self._cursors.page(request, found)

    async def write(self, change: Callable[[AsyncConnection], Awaitable[Reply]], *, creates: int = 1) -> Response[Any]:
        """Run `change` in one transaction, answer after its commit. A POST with an Idempotency-Key happens once.
        `creates`: how many tasks a 201 stands for, on a route that declares `creates_tasks()`."""
        call = await self._repeated_call()

        async def begun(change: Callable[[AsyncConnection], Awaitable[Reply]]) -> Reply:
            async def within(connection: AsyncConnection) -> Reply:
                self._afterwards.clear()
                return await (change(connection) if call is None else once(connection, call, change))

            return await self._database.write(within)

        if rate_class_of(self._request.route_handler) is None:
            reply = await begun(change)
        else:
            reply = await charged(self._request, self._limits, creates, change, begun)
        for tell in self._afterwards:
            tell()
        return reply.response()

    async def write_part(self, change: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """A part of what `write` is doing, in a transaction of its own: it stays, whatever becomes of the rest."""
        kept, self._afterwards = self._afterwards, []

        async def begun(connection: AsyncConnection) -> T:
            self._afterwards.clear()
            return await change(connection)

        try:
            done = await self._database.write(begun)
            for tell in self._afterwards:
                tell()
        finally:
            self._afterwards = kept
        return done

    async def _repeated_call(self) -> RepeatedCall | None:
        request = self._request
        key = read_key(request.headers.getall("idempotency-key", [])) if request.method == "POST" else None
        if key is None:
            return None
        route, caller_id = f"POST {self._path}", self._speaker_id()
        if self.run_token is not None:
            route = f"{route} {self.run_token.step_id}"
        return RepeatedCall(caller_id, route, key, fingerprint(await request.body()))

    @property
    def _path(self) -> str:
        """The same with and without the prefix."""
        return self._request.scope["path"].removeprefix("/v1")

    def _speaker_id(self) -> UUID:
        """A run that speaks for itself is apart from every agent."""
        return self.caller.agent_id if self.run_token is None else self.run_token.run_id


CurrentAct: TypeAlias = NamedDependency[Act]
