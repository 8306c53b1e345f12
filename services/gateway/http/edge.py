"""The outermost layer: gives each request its ids and its caller, keeps the limits of HTTP, leaves one log line."""

import re
import time
from collections.abc import Iterable
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry.trace import SpanKind, Tracer, use_span

from services.gateway.auth.service import Authenticator, unauthenticated
from services.gateway.auth.wire import Identity
from services.gateway.http.faults import HeadersTooLarge, UriTooLong, no_such_route, too_large
from services.gateway.http.problems import MEDIA_TYPE, headers_of, problem_of
from services.gateway.http.trail import Trail, set_trail
from shared.telemetry.tracing import context_of
from shared.vocabulary.faults import BadRequest, Fault
from shared.vocabulary.ids import random_id
from shared.vocabulary.limits import REQUEST_BODY_BYTES

logger = structlog.get_logger(__name__)

URI_BYTES = 8 * 1024
HEADERS_BYTES = 16 * 1024
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
TOKEN_PARAMETERS = frozenset({"access_token", "token"})
FIXED_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
)


class Edge:
    """An ASGI application around the framework, so that it also sees what finds no route."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator, tracer: Tracer) -> None:
        self._app = app
        self._authenticator = authenticator
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        request_id = _request_id(_values(headers, b"x-request-id"))
        parent = next(iter(_values(headers, b"traceparent")), b"").decode("latin-1")
        span = self._tracer.start_span(scope["method"], context_of(parent), SpanKind.SERVER)
        trail = Trail(request_id, span, unauthenticated())
        set_trail(scope, trail)
        exchange = _Exchange(scope, send, trail)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, agent_id=None),
            use_span(span, end_on_exit=True),
        ):
            try:
                await self._admit(scope, trail)
                await self._app(scope, receive, exchange.send)
            except Fault as fault:
                await exchange.refuse(fault)
            finally:
                exchange.leave_trace()

    async def _admit(self, scope: HTTPScope, trail: Trail) -> None:
        """Raises what no route could change; that the caller is unknown is left to the route."""
        _check_size(scope)
        _check_query_holds_no_token(scope["query_string"])
        given = _values(scope["headers"], b"authorization")
        trail.caller = await self._identify(given)
        if isinstance(trail.caller, Identity):
            structlog.contextvars.bind_contextvars(agent_id=str(trail.caller.agent_id))
        else:
            trail.run_token = self._authenticator.run_token(_bearer(given))
        if "//" in scope["path"]:
            raise trail.refusal or no_such_route()

    async def _identify(self, given: list[bytes]) -> Identity | Fault:
        if len(given) > 1:
            raise BadRequest("Send one Authorization header.")
        try:
            return await self._authenticator.identify(_bearer(given))
        except Fault as fault:
            return fault


class _Exchange:
    """One answer on its way out."""

    def __init__(self, scope: HTTPScope, send: Send, trail: Trail) -> None:
        self._scope = scope
        self._send = send
        self._trail = trail
        self._started_at = time.perf_counter()
        self._status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = (b"x-request-id", self._trail.request_id.encode())
            message["headers"] = [*message["headers"], own, *FIXED_HEADERS]
        await self._send(message)

    async def refuse(self, fault: Fault) -> None:
        body = msgspec.json.encode(problem_of(fault, self._trail.request_id))
        headers = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body)), **headers_of(fault)}
        await self.send(
            {
                "type": "http.response.start",
                "status": fault.status,
                "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await self.send({"type": "http.response.body", "body": body, "more_body": False})

    def leave_trace(self) -> None:
        route = self._scope.get("path_template", "none")
        log = logger.debug if route.endswith(("/health", "/health/live", "/health/ready")) else logger.info
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


def _values(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> list[bytes]:
    return [value for key, value in headers if key == name]


def _bearer(given: list[bytes]) -> str:
    """The token in the header, which may be empty or nonsense."""
    scheme, _, token = (given[0] if given else b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _request_id(given: list[bytes]) -> str:
    """The client's own, if it is one that can go into a log line and a header."""
    if len(given) == 1 and REQUEST_ID.fullmatch(given[0]):
        return given[0].decode()
    return random_id()


def _check_size(scope: HTTPScope) -> None:
    if len(scope["raw_path"] or b"") + len(scope["query_string"]) > URI_BYTES:
        raise UriTooLong(f"A URL has at most {URI_BYTES} bytes.")
    if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_BYTES:
        raise HeadersTooLarge(f"The headers of a request have at most {HEADERS_BYTES} bytes together.")
    for length in _values(scope["headers"], b"content-length"):
        if length.isdigit() and int(length[:20]) > REQUEST_BODY_BYTES:
            raise too_large()


def _check_query_holds_no_token(query: bytes) -> None:
    """A URL ends up in logs and histories; the token that it shows is burnt."""
    if b"token" not in query:
        return
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if names & TOKEN_PARAMETERS:
        raise BadRequest("A token does not belong into a URL. Replace it by a new one, and send that in a header.")
