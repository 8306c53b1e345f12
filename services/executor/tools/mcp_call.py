"""The tool `mcp.call`: one tool of an MCP server, over streamable HTTP."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.connector import CONNECTIONS, SystemResolver, new_session
from services.executor.tools.cutting import cut
from services.executor.tools.flight import Departures, Flight
from services.executor.tools.http_outcome import forbidden_destination
from services.executor.tools.mcp_answer import McpAnswer
from services.executor.tools.mcp_offers import Offer, OfferKey, Offers, key_of
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import origin_of
from shared.tools.mcp_call import MCP_CALL, McpCallInput, check_mcp_call
from shared.vocabulary.faults import Invalid
from shared.vocabulary.states import ErrorClass

if TYPE_CHECKING:
    from services.executor.tools.mcp_session import Keep
    from services.executor.tools.mcp_transport import Exchange

MAX_ARGUMENTS_BYTES = 1024 * 1024
MAX_SAID_LENGTH = 500


class Client(NamedTuple):
    """The part that needs the MCP library."""

    converse: "Callable[[Exchange, McpCallInput, StepContext, Offer | None, Keep], Coroutine[Any, Any, McpAnswer]]"
    Exchange: "type[Exchange]"


class McpCall:
    """Each call is a conversation of its own: a server may keep state of the one who speaks. Connections are pooled as
    for `http.request`, and hold none."""

    spec = MCP_CALL

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connections: int = CONNECTIONS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._policy = policy
        self._connections = connections
        self._resolver = resolver or SystemResolver()
        self._departures = Departures(connections)
        self._offers = Offers()
        self._client: Client | None = None
        self._session: aiohttp.ClientSession | None = None

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> dict[str, object]:
        request = self._checked(arguments)
        key = key_of(context.agent_id, request.url, request.headers)
        try:
            answer = await self._conversation(request, context, key)
        except ToolFault:
            # Whatever it was, the next call looks at the server anew.
            self._offers.drop(key)
            raise
        if answer.is_error:
            self._offers.drop(key)
            message = f"The tool reports an error: {cut(answer.text, MAX_SAID_LENGTH)}"
            raise ToolFault(ErrorClass.TOOL, message, output=answer.output())
        return answer.output()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _checked(self, arguments: Mapping[str, object]) -> McpCallInput:
        """Again, because templates have put values where the gateway saw expressions."""
        try:
            request = check_mcp_call(arguments, self._policy, "with")
        except Invalid as refusal:
            if refusal.error_code == "destination_forbidden":
                raise forbidden_destination() from None
            wrong = refusal.validation_errors[0]
            raise ToolFault(ErrorClass.TOOL, f"{wrong.field}: {wrong.message}") from None
        _require_sendable(request.arguments)
        return request

    async def _conversation(self, request: McpCallInput, context: StepContext, key: OfferKey) -> McpAnswer:
        flight, fault = Flight(), None
        self._departures.begin(flight, context.agent_id, origin_of(request.url), time.monotonic())
        try:
            return await self._answer_in_time(request, context, key, flight)
        except ToolFault as known:
            fault = known
            raise
        finally:
            self._departures.end(flight, fault, time.monotonic())

    async def _answer_in_time(
        self, request: McpCallInput, context: StepContext, key: OfferKey, flight: Flight
    ) -> McpAnswer:
        deadline = time.monotonic() + request.timeout_seconds
        if self._client is None:
            self._client = await asyncio.to_thread(_load)
        client = self._client
        if self._session is None:
            self._session = new_session(self._policy, self._resolver, connections=self._connections)

        def answered() -> None:
            self._departures.answered(flight)

        def keep(offer: Offer) -> None:
            self._offers.put(key, offer, time.monotonic())

        exchange = client.Exchange(self._session, request, context, flight, answered)

        offer = self._offers.get(key, time.monotonic())
        work = asyncio.create_task(client.converse(exchange, request, context, offer, keep))
        ended_by_itself = await _settled(work, exchange, deadline - time.monotonic())
        if exchange.given_up.done():
            raise exchange.given_up.result()
        if not ended_by_itself:
            raise _late(request)
        return work.result()


async def _settled(work: asyncio.Task[McpAnswer], exchange: "Exchange", seconds: float) -> bool:
    """Returns or raises only when the work has ended: by itself, because it is late, or because this task was
    cancelled. It is a task of its own, so that its last words can be cut short before it hears of its end."""
    try:
        await asyncio.wait((work, exchange.given_up), timeout=max(seconds, 0.0), return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended_by_itself = work.done()
        if not ended_by_itself:
            exchange.hurry()
            work.cancel()
            await asyncio.wait((work,))
        if not work.cancelled():
            work.exception()  # asyncio complains of one that nobody looked at, also when this task was cancelled
    return ended_by_itself


def _load() -> Client:
    """The MCP library takes some 30 MB and most of a second to import: those pay who call, not every start. In a
    thread, since renewals of leases do not wait."""
    from services.executor.tools import mcp_session, mcp_transport  # noqa: PLC0415 - see above

    mcp_session.silence()
    return Client(mcp_session.converse, mcp_transport.Exchange)


def _require_sendable(arguments: Mapping[str, object]) -> None:
    try:
        size = len(msgspec.json.encode(arguments))
    except (TypeError, ValueError, OverflowError):
        raise ToolFault(ErrorClass.TOOL, "with.arguments: This cannot be written as JSON.") from None
    if size > MAX_ARGUMENTS_BYTES:
        raise ToolFault(ErrorClass.TOOL, f"with.arguments: This is longer than {MAX_ARGUMENTS_BYTES} bytes.")


def _late(request: McpCallInput) -> ToolFault:
    message = f"The server gave no whole answer within {request.timeout_seconds:g} s."
    return ToolFault(ErrorClass.TIMEOUT, message, retryable=True)
