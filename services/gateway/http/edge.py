"""The outermost layer: gives each request its ids and its caller, keeps the limits of HTTP and of how often somebody
may ask, leaves one log line."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from opentelemetry.trace import SpanKind, Tracer, use_span

from services.gateway.auth.service import Authenticator, NotIdentified, unauthenticated
from services.gateway.http.client_address import Networks, client_address
from services.gateway.http.cors import Cors
from services.gateway.http.exchange import Exchange
from services.gateway.http.faults import HeadersTooLarge, UriTooLong, no_such_route, too_large
from services.gateway.http.forms import body_bytes_max
from services.gateway.http.head import Head, read_head
from services.gateway.http.trail import Trail, set_trail
from services.gateway.limits.failures import Attempt, FailedAttempts
from services.gateway.limits.requests import RequestLimits, refused
from shared.telemetry.tracing import context_of
from shared.vocabulary.faults import BadRequest, Fault
from shared.vocabulary.ids import random_id

URI_BYTES = 8 * 1024
HEADERS_BYTES = 16 * 1024
REQUEST_ID = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
TOKEN_PARAMETERS = frozenset({"access_token", "token"})


class Gate(msgspec.Struct, frozen=True):
    """Who is let in, and how often. `cors` None: no browser on another page. `trusted`: proxies whose word on the
    client's address counts."""

    authenticator: Authenticator
    limits: RequestLimits
    failed: FailedAttempts
    cors: Cors | None = None
    trusted: Networks = ()


class Edge:
    """An ASGI application around the framework, so that it also sees what finds no route."""

    def __init__(self, app: ASGIApp, gate: Gate, tracer: Tracer) -> None:
        self._app = app
        self._gate = gate
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        head = read_head(scope["headers"])
        request_id = _request_id(head.all(b"x-request-id"))
        parent = (head.first(b"traceparent") or b"").decode("latin-1")
        span = self._tracer.start_span(scope["method"], context_of(parent), SpanKind.SERVER)
        trail = Trail(request_id, span, unauthenticated())
        set_trail(scope, trail)
        exchange = self._exchange(scope, send, trail, head)
        with (
            structlog.contextvars.bound_contextvars(request_id=request_id, agent_id=None),
            use_span(span, end_on_exit=True),
        ):
            try:
                await self._pass_on(scope, receive, exchange, trail, head)
            except Fault as fault:
                await exchange.refuse(fault)
            finally:
                exchange.leave_trace()

    def _exchange(self, scope: HTTPScope, send: Send, trail: Trail, head: Head) -> Exchange:
        cors = self._gate.cors
        return Exchange(scope, send, trail, head, [] if cors is None else cors.headers(head.first(b"origin")))

    async def _pass_on(self, scope: HTTPScope, receive: Receive, exchange: Exchange, trail: Trail, head: Head) -> None:
        """Raises what no route could change; that the caller is unknown is left to the route."""
        _check_size(scope, head)
        _check_query_holds_no_token(scope["query_string"])
        allowed = self._preflight(scope, head)
        if allowed is not None:
            await exchange.answer(204, allowed)
            return
        await self._identify(scope, trail, head)
        if "//" in scope["path"]:
            raise trail.refusal or no_such_route()
        await self._app(scope, receive, exchange.send)

    def _preflight(self, scope: HTTPScope, head: Head) -> list[tuple[bytes, bytes]] | None:
        if self._gate.cors is None:
            return None
        return self._gate.cors.preflight(
            scope["method"], head.first(b"origin"), head.first(b"access-control-request-method")
        )

    async def _identify(self, scope: HTTPScope, trail: Trail, head: Head) -> None:
        """Raises TooManyRequests for who asks too often."""
        given = head.all(b"authorization")
        if len(given) > 1:
            raise BadRequest("Send one Authorization header.")
        token = _bearer(given)
        try:
            trail.caller = await self._gate.authenticator.identify(token)
        except NotIdentified as fault:
            trail.run_token = self._gate.authenticator.run_token(token)
            if trail.run_token is not None:
                trail.standing = await self._gate.limits.request_of_run(trail.run_token.run_id)
            elif given:
                trail.caller = await self._failed(scope, trail, head, token, fault)
        except Fault as fault:
            trail.caller = fault
        else:
            structlog.contextvars.bind_contextvars(agent_id=str(trail.caller.agent_id))
            trail.standing = await self._gate.limits.request(trail.caller)
        if trail.standing is not None and trail.standing.retry_after_seconds:
            raise refused(trail.standing, f"This agent may send {trail.standing.limit} requests per minute.")

    async def _failed(self, scope: HTTPScope, trail: Trail, head: Head, token: str, fault: NotIdentified) -> Fault:
        peer = scope["client"][0] if scope["client"] else None
        address = client_address(peer, head.all(b"x-forwarded-for"), self._gate.trusted)
        return await self._gate.failed.judge(Attempt(token, address, trail.request_id, trail.trace_id), fault)


def _bearer(given: Sequence[bytes]) -> str:
    """The token in the header, which may be empty or nonsense."""
    scheme, _, token = (given[0] if given else b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _request_id(given: Sequence[bytes]) -> str:
    """The client's own, if it is one that can go into a log line and a header."""
    if len(given) == 1 and REQUEST_ID.fullmatch(given[0]):
        return given[0].decode()
    return random_id()


def _check_size(scope: HTTPScope, head: Head) -> None:
    if len(scope["raw_path"] or b"") + len(scope["query_string"]) > URI_BYTES:
        raise UriTooLong(f"A URL has at most {URI_BYTES} bytes.")
    if head.size_bytes > HEADERS_BYTES:
        raise HeadersTooLarge(f"The headers of a request have at most {HEADERS_BYTES} bytes together.")
    for length in head.all(b"content-length"):
        bytes_max = body_bytes_max(scope["path"])
        if length.isdigit() and int(length[:20]) > bytes_max:
            raise too_large(bytes_max)


def _check_query_holds_no_token(query: bytes) -> None:
    """A URL ends up in logs and histories; the token that it shows is burnt."""
    if b"token" not in query:
        return
    names = {name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)}
    if names & TOKEN_PARAMETERS:
        raise BadRequest("A token does not belong into a URL. Replace it by a new one, and send that in a header.")
