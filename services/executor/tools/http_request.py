"""The tool `http.request`: one HTTP request to any API that the address policy permits."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from services.executor.tools.answer import Answer, read_answer
from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.connector import CONNECTIONS, SystemResolver, new_session
from services.executor.tools.http_outcome import fault_of_answer, fault_of_failure, forbidden_destination
from shared.outbound.addresses import AddressPolicy
from shared.outbound.http_input import HttpRequestInput, check_http_request
from shared.vocabulary.faults import Invalid
from shared.vocabulary.states import ErrorClass

MAX_REQUEST_BYTES = 1024 * 1024


def _utc_now() -> datetime:
    return datetime.now(UTC)


class HttpRequest:
    """One session for the life of the process, opened by the first call."""

    name = "http.request"

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connections: int = CONNECTIONS,
        resolver: AbstractResolver | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._policy = policy
        self._connections = connections
        self._resolver = resolver or SystemResolver()
        self._now = now
        self._session: aiohttp.ClientSession | None = None

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> dict[str, object]:
        request = self._checked(arguments)
        try:
            # One deadline over everything: a receiver that drips must not outlive it.
            async with asyncio.timeout(request.timeout_seconds):
                answer = await self._exchange(request, context)
        except (aiohttp.ClientError, OSError) as error:
            raise fault_of_failure(error, request.timeout_seconds) from error
        fault = fault_of_answer(answer, self._now())
        if fault is not None:
            raise fault
        return answer.output()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _checked(self, arguments: Mapping[str, object]) -> HttpRequestInput:
        """Again, because templates have put values where the gateway saw expressions."""
        try:
            return check_http_request(arguments, self._policy, "with")
        except Invalid as refusal:
            if refusal.error_code == "destination_forbidden":
                raise forbidden_destination() from None
            wrong = refusal.validation_errors[0]
            raise ToolFault(ErrorClass.TOOL, f"{wrong.field}: {wrong.message}") from None

    async def _exchange(self, request: HttpRequestInput, context: StepContext) -> Answer:
        if self._session is None:
            self._session = new_session(self._policy, self._resolver, connections=self._connections)
        async with self._session.request(
            request.effective_method,
            request.url,
            headers=_headers(request, context),
            data=_body(request),
            allow_redirects=False,
        ) as response:
            return await read_answer(response)


def _headers(request: HttpRequestInput, context: StepContext) -> dict[str, str]:
    headers = {**request.headers, "Idempotency-Key": context.idempotency_key}
    if context.traceparent is not None:
        headers["traceparent"] = context.traceparent
    if request.has_body and not any(name.lower() == "content-type" for name in request.headers):
        headers["Content-Type"] = "text/plain; charset=utf-8" if request.body is not None else "application/json"
    return headers


def _body(request: HttpRequestInput) -> bytes | None:
    if not request.has_body:
        return None
    try:
        body = msgspec.json.encode(request.json) if request.body is None else request.body.encode()
    except (TypeError, ValueError):
        raise ToolFault(ErrorClass.TOOL, "with.json: This cannot be written as JSON.") from None
    if len(body) > MAX_REQUEST_BYTES:
        raise ToolFault(ErrorClass.TOOL, f"The request body is longer than {MAX_REQUEST_BYTES} bytes.")
    return body
