"""The HTTP of one `mcp.call`, sent over the executor's own checked sessions.

The MCP client asks for a transport of its HTTP library; this one gives every request to aiohttp, so that addresses,
redirects, proxies and certificates have one set of rules and one place where they are enforced.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime

import aiohttp
import httpx2
from multidict import CIMultiDict

from services.executor.tools.answer import Answer, read_answer
from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.flight import Flight
from services.executor.tools.http_outcome import fault_of_answer, fault_of_failure
from shared.tools.mcp_call import McpCallInput
from shared.vocabulary.states import ErrorClass

# Everything that is read during one call: handshake, list of tools, notifications, answer.
RECEIVED_BYTES = 2 * 1024 * 1024
# For what nobody waits for: the end of a session, and the last words of a call that was stopped.
GOODBYE_SECONDS = 0.3

# Derived by aiohttp from the URL, the body, and what it can decode.
NOT_SENT = frozenset({"accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent"})
# True of what was read from the wire, not of what is handed on. A place to go to instead is not handed on at all.
NOT_HANDED_ON = frozenset({"connection", "content-encoding", "content-length", "location", "transfer-encoding"})


class Exchange(httpx2.AsyncBaseTransport):
    """`fault` is what the last request ended with, when it did not succeed, and `status` what was answered to it, if
    anything. `given_up` has the fault after which no further request is worth a try."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        request: McpCallInput,
        context: StepContext,
        flight: Flight,
        answered: Callable[[], None],
    ) -> None:
        self._session = session
        self._request = request
        self._own_headers = _own_headers(request, context)
        self._began_at = context.now
        self._flight = flight
        self._answered = answered
        self._scopes: set[asyncio.Timeout] = set()
        self._received = 0
        self._ends_at: float | None = None
        self.fault: ToolFault | None = None
        self.status: int | None = None
        self.given_up: asyncio.Future[ToolFault] = asyncio.get_running_loop().create_future()

    def hurry(self) -> None:
        """Whatever is being sent or read, and whatever still will be, ends in a moment."""
        self._ends_at = asyncio.get_running_loop().time() + GOODBYE_SECONDS
        for scope in self._scopes:
            scope.reschedule(self._ends_at)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.method == "GET" and "last-event-id" not in request.headers:
            # The server's own channel for requests of its own, none of which are answered here.
            return httpx2.Response(405)
        is_goodbye = request.method == "DELETE"
        with self._noting(is_silent=is_goodbye):
            async with self._scope(GOODBYE_SECONDS if is_goodbye else None):
                response = await self._session.request(
                    request.method,
                    # Not the one that the client has in mind: this is the one that was checked.
                    self._request.url,
                    headers=self._headers(request),
                    data=await request.aread(),
                    allow_redirects=False,
                )
                self._answered()
                return await self._handed_on(response, request, is_goodbye=is_goodbye)

    async def pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        """The body, decoded, until the whole call has read its share."""
        with self._noting():
            while True:
                async with self._scope():
                    piece = await response.content.readany()
                if not piece:
                    return
                self._count(piece)
                yield piece

    async def _handed_on(
        self, response: aiohttp.ClientResponse, request: httpx2.Request, *, is_goodbye: bool
    ) -> httpx2.Response:
        headers = [(name, value) for name, value in response.headers.items() if name.lower() not in NOT_HANDED_ON]
        if response.status // 100 == 2:
            self.fault = self.status = None
            return httpx2.Response(response.status, headers=headers, stream=_Body(self, response))
        try:
            answer = await read_answer(response)
        finally:
            response.close()
        if not is_goodbye:
            self.status = answer.status
            self.fault = _fault_of(answer, is_in_session="mcp-session-id" in request.headers, now=self._began_at)
        return httpx2.Response(response.status, headers=headers, content=answer.body.encode())

    def _headers(self, request: httpx2.Request) -> CIMultiDict[str]:
        headers = CIMultiDict(self._own_headers)
        for name, value in request.headers.items():
            if name not in NOT_SENT:
                headers[name] = value
        return headers

    def _count(self, piece: bytes) -> None:
        self._received += len(piece)
        if self._received > RECEIVED_BYTES:
            message = f"The server sent more than {RECEIVED_BYTES // (1024 * 1024)} MiB."
            if not self.given_up.done():
                self.given_up.set_result(ToolFault(ErrorClass.TOOL, message))
            raise httpx2.ReadError(message)

    @contextmanager
    def _noting(self, *, is_silent: bool = False) -> Iterator[None]:
        """Keeps what went wrong in our words, and tells the client in its own."""
        try:
            yield
        except (aiohttp.ClientError, OSError) as error:
            if not is_silent:
                self.status = None
                self.fault = fault_of_failure(error, self._request.timeout_seconds, is_queued=self._flight.is_queued)
            raise httpx2.ReadError("the exchange broke off") from error

    @asynccontextmanager
    async def _scope(self, seconds: float | None = None) -> AsyncIterator[None]:
        """A deadline that `hurry` can bring forward."""
        ends_at = self._ends_at
        if seconds is not None:
            ends_at = min(asyncio.get_running_loop().time() + seconds, ends_at or float("inf"))
        async with asyncio.timeout_at(ends_at) as scope:
            self._scopes.add(scope)
            try:
                yield
            finally:
                self._scopes.discard(scope)


def _fault_of(answer: Answer, *, is_in_session: bool, now: datetime) -> ToolFault | None:
    if answer.status == 404 and is_in_session:
        # MCP 2025-06-18, basic/transports, session management: it is time for a new one, which is a new call.
        message = "The server has forgotten the session."
        return ToolFault(ErrorClass.HTTP_4XX, message, retryable=True, output=answer.output())
    return fault_of_answer(answer, now)


class _Body(httpx2.AsyncByteStream):
    def __init__(self, exchange: Exchange, response: aiohttp.ClientResponse) -> None:
        self._exchange = exchange
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._exchange.pieces(self._response):
            yield piece

    async def aclose(self) -> None:
        # A body that was read to its end has given its connection back already.
        self._response.close()


def _own_headers(request: McpCallInput, context: StepContext) -> CIMultiDict[str]:
    headers = CIMultiDict(request.headers)
    headers["Idempotency-Key"] = context.idempotency_key
    if context.traceparent is not None:
        headers["traceparent"] = context.traceparent
    return headers
