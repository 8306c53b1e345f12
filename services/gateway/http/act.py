"""One request at work: who acts, in which transaction, and what is rung after its commit."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

from litestar import Response
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.bells import Bells
from services.gateway.database import Database
from services.gateway.http.idempotency import RepeatedCall, fingerprint, once, read_key
from services.gateway.http.replies import Reply
from services.gateway.http.trail import AnyRequest, Trail, trail_of
from shared.streams.doorbell import Bell

T = TypeVar("T")


class Act:
    """`caller` and the ids are what services need to know of the request."""

    def __init__(self, request: AnyRequest, database: Database, bells: Bells) -> None:
        trail: Trail = trail_of(request.scope)
        self.caller: Identity = trail.identity
        self.request_id = trail.request_id
        self.traceparent = trail.traceparent
        self.trace_id = trail.trace_id
        self._request = request
        self._database = database
        self._bells = bells
        self._wanted: list[Bell] = []

    def ring(self, bell: Bell) -> None:
        """Once the change is committed."""
        self._wanted.append(bell)

    async def read(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        return await self._database.read(query)

    async def write(self, change: Callable[[AsyncConnection], Awaitable[Reply]]) -> Response[Any]:
        """Run `change` in one transaction, answer after its commit. A POST with an Idempotency-Key happens once."""
        call = await self._repeated_call()

        async def begun(connection: AsyncConnection) -> Reply:
            self._wanted.clear()
            return await (change(connection) if call is None else once(connection, call, change))

        reply = await self._database.write(begun)
        for bell in self._wanted:
            self._bells.want(bell)
        return reply.response()

    async def _repeated_call(self) -> RepeatedCall | None:
        request = self._request
        key = read_key(request.headers.getall("idempotency-key", [])) if request.method == "POST" else None
        if key is None:
            return None
        route = f"POST {request.scope['path'].removeprefix('/v1')}"
        return RepeatedCall(self.caller.agent_id, route, key, fingerprint(await request.body()))


CurrentAct: TypeAlias = NamedDependency[Act]
