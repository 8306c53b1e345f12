"""One answer on its way out: the headers that every answer has, 304 for who has it already, fewer bytes where they
count, and the line in the log."""

import time

import msgspec
import structlog
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, HTTPScope, Message, Send

from services.gateway.http.compression import Packing, coding_for, is_worth_coding
from services.gateway.http.conditions import is_known
from services.gateway.http.cors import Headers
from services.gateway.http.deprecation import deprecation_of
from services.gateway.http.head import Head
from services.gateway.http.problems import MEDIA_TYPE, headers_of, problem_of
from services.gateway.http.trail import Trail
from shared.vocabulary.faults import Fault

logger = structlog.get_logger(__name__)

FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"vary", b"Accept-Encoding"),
)
# Unless a page says what it needs itself.
USUAL_HEADERS = {
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
ALL_HEADERS = (*FIXED_HEADERS, *USUAL_HEADERS.items())
OF_A_BODY = frozenset({b"content-length", b"content-type"})
QUIET_ROUTES = ("/health", "/health/live", "/health/ready")


class Exchange:
    """`cors`: headers for a browser on another page, where that is allowed at all."""

    def __init__(self, scope: HTTPScope, send: Send, trail: Trail, head: Head, cors: Headers) -> None:
        self._scope = scope
        self._send = send
        self._trail = trail
        self._head = head
        self._cors = cors
        self._started_at = time.perf_counter()
        self._status = 0
        self._packing: Packing | None = None
        self._is_silent = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] == "http.response.body" and self._is_silent:
            await self._end_silently(message)
        elif message["type"] == "http.response.body" and self._packing is not None:
            for each in self._packing.next(message):
                await self._send(each)
        else:
            await self._send(message)

    async def refuse(self, fault: Fault) -> None:
        body = msgspec.json.encode(problem_of(fault, self._trail.request_id))
        named = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **headers_of(fault)}
        headers = [(name.lower().encode(), value.encode()) for name, value in named.items()]
        await self.answer(fault.status, headers, body)

    async def answer(self, status: int, headers: Headers, body: bytes = b"") -> None:
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    async def _begin(self, message: HTTPResponseStartEvent) -> None:
        given = dict(message["headers"])
        message["headers"] = [*message["headers"], *self._own_headers(given)]
        coding = self._coding(message["status"], given)
        if self._is_at_client(message["status"], given):
            self._is_silent = True
            message["status"] = 304
            message["headers"] = [each for each in message["headers"] if each[0] not in OF_A_BODY]
        elif coding is not None:
            self._packing = Packing(coding, message)
        self._status = message["status"]
        if self._packing is None:
            await self._send(message)

    def _own_headers(self, given: dict[bytes, bytes]) -> Headers:
        own: Headers = [(b"x-request-id", self._trail.request_id.encode()), *self._cors]
        if self._trail.standing is not None:
            own += self._trail.standing.headers()
        handler = self._scope.get("route_handler")
        deprecation = None if handler is None else deprecation_of(handler)
        if deprecation is not None:
            own += deprecation.headers
        if USUAL_HEADERS.keys().isdisjoint(given):
            own += ALL_HEADERS
        else:
            own += FIXED_HEADERS
            own += [each for each in USUAL_HEADERS.items() if each[0] not in given]
        return own

    def _is_at_client(self, status: int, given: dict[bytes, bytes]) -> bool:
        wanted = self._head.all(b"if-none-match")
        if not wanted or status != 200 or self._scope["method"] != "GET":
            return False
        etag = given.get(b"etag")
        return etag is not None and is_known(wanted, etag)

    def _coding(self, status: int, given: dict[bytes, bytes]) -> bytes | None:
        accepted = self._head.all(b"accept-encoding")
        if not accepted:
            return None
        coding = coding_for(b",".join(accepted))
        if coding is None or b"content-encoding" in given:
            return None
        return coding if is_worth_coding(status, given.get(b"content-type", b"")) else None

    async def _end_silently(self, message: HTTPResponseBodyEvent) -> None:
        """A 304 has no body; of what the route still sends nothing is passed on."""
        if not message["more_body"]:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def leave_trace(self) -> None:
        route = self._scope.get("path_template", "none")
        log = logger.debug if route.endswith(QUIET_ROUTES) else logger.info
        log(
            "request",
            method=self._scope["method"],
            route=route,
            status=self._status,
            duration_ms=round((time.perf_counter() - self._started_at) * 1000, 2),
        )
        span = self._trail.span
        if span.is_recording():
            span.update_name(f"{self._scope['method']} {route}")
            span.set_attribute("http.request.method", self._scope["method"])
            span.set_attribute("http.route", route)
            span.set_attribute("http.response.status_code", self._status)
