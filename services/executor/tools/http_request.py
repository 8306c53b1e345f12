"""The tool `http.request`: one HTTP request to any API that the address policy permits."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timedelta

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver

from services.executor.tools.answer import Answer, read_answer
from services.executor.tools.base import StepContext, ToolFault, Waiting
from services.executor.tools.connector import CONNECTIONS, SystemResolver, new_session
from services.executor.tools.expectation import disappointment, extracted
from services.executor.tools.flight import Departures, Flight
from services.executor.tools.http_outcome import fault_of_failure, fault_of_status, forbidden_destination
from services.executor.tools.outgoing import Outgoing, callback_headers, first_request, place_of, redirected
from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec
from shared.tools.http_request import HTTP_REQUEST, HttpRequestInput, check_http_request
from shared.vocabulary.faults import Invalid
from shared.vocabulary.states import ErrorClass, WaitKind

ACCEPTED = 202
REMEMBERED = 500
REMEMBERED_BYTES = 4096


class HttpRequest:
    """One session for the life of the process, opened by the first call. `public_url`: where receivers find our API."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        connections: int = CONNECTIONS,
        resolver: AbstractResolver | None = None,
        public_url: str | None = None,
    ) -> None:
        self._policy = policy
        self._connections = connections
        self._resolver = resolver or SystemResolver()
        self._public_url = public_url
        self._departures = Departures(connections)
        self._session: aiohttp.ClientSession | None = None
        self._checked_before: OrderedDict[bytes, HttpRequestInput] = OrderedDict()

    @property
    def spec(self) -> ToolSpec:
        return HTTP_REQUEST

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> dict[str, object] | Waiting:
        request = self._checked(arguments)
        clock = _Clock(context.now)
        answer = await self._answer_in_time(request, context, clock)
        return _outcome_of(answer, request, clock.now())

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
        await self._resolver.close()

    def _checked(self, arguments: Mapping[str, object]) -> HttpRequestInput:
        """Again, because templates have put values where the gateway saw expressions; once for input that comes again,
        as that of a task which always sends the same."""
        key = _key_of(arguments)
        known = self._checked_before.get(key) if key else None
        if known is not None:
            return known
        request = self._check(arguments)
        if 0 < len(key) <= REMEMBERED_BYTES:
            self._checked_before[key] = request
            if len(self._checked_before) > REMEMBERED:
                self._checked_before.popitem(last=False)
        return request

    def _check(self, arguments: Mapping[str, object]) -> HttpRequestInput:
        try:
            return check_http_request(arguments, self._policy, "with")
        except Invalid as refusal:
            if refusal.error_code == "destination_forbidden":
                raise forbidden_destination() from None
            wrong = refusal.validation_errors[0]
            raise ToolFault(ErrorClass.TOOL, f"{wrong.field}: {wrong.message}") from None

    async def _answer_in_time(self, request: HttpRequestInput, context: StepContext, clock: "_Clock") -> Answer:
        flight, fault = Flight(), None
        try:
            # One deadline over everything: a receiver that drips must not outlive it.
            async with asyncio.timeout(request.timeout_seconds):
                return await self._last_answer(request, context, clock, flight)
        except (aiohttp.ClientError, OSError) as error:
            fault = fault_of_failure(error, request.timeout_seconds, is_queued=flight.is_queued)
            raise fault from error
        finally:
            self._departures.end(flight, fault, clock.seconds())

    async def _last_answer(
        self, request: HttpRequestInput, context: StepContext, clock: "_Clock", flight: Flight
    ) -> Answer:
        """Follows redirects as far as it may, unless they are what is expected."""
        has_token = request.callback_seconds is not None
        outgoing = first_request(request, callback_headers(context, self._public_url) if has_token else {})
        followed = 0
        while True:
            self._departures.begin(flight, context.agent_id, outgoing.origin, clock.seconds())
            headers = outgoing.all_headers(request, context, clock.now())
            answer = await self._exchange(outgoing, headers, flight)
            self._departures.left(flight)
            place = place_of(answer)
            if place is None or followed == request.follow_redirects or request.expect.lists(answer.status):
                return answer
            outgoing = redirected(outgoing, answer.status, place, self._policy, has_token=has_token)
            followed += 1

    async def _exchange(self, outgoing: Outgoing, headers: Mapping[str, str], flight: Flight) -> Answer:
        if self._session is None:
            self._session = new_session(self._policy, self._resolver, connections=self._connections)
        async with self._session.request(
            outgoing.method,
            outgoing.url,
            headers=headers,
            data=outgoing.body,
            allow_redirects=False,
        ) as response:
            self._departures.answered(flight)
            return await read_answer(response)


def _key_of(arguments: Mapping[str, object]) -> bytes:
    try:
        return msgspec.json.encode(arguments)
    except (TypeError, ValueError):
        return b""  # it cannot be JSON: the check says why


class _Clock:
    """The database's time, carried on by our own monotonic clock."""

    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._began = time.monotonic()

    def seconds(self) -> float:
        """Of the clock that never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        return self._began_at + timedelta(seconds=self.seconds() - self._began)


def _outcome_of(answer: Answer, request: HttpRequestInput, now: datetime) -> dict[str, object] | Waiting:
    """Raises ToolFault."""
    if answer.status == ACCEPTED and request.callback_seconds is not None:
        return Waiting(WaitKind.CALLBACK, request.callback_seconds, answer.output())
    if not request.expect.lists(answer.status):
        raise fault_of_status(answer, now, redirects=request.follow_redirects, retryable=request.expect.retryable)
    fault = disappointment(answer, request.expect)
    if fault is not None:
        raise fault
    output = answer.output()
    return {**output, "extracted": extracted(answer, request.extract)} if request.extract else output
