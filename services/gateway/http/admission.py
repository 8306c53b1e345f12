"""What is checked before a handler runs, in this order: identity, media types, query, body, scope."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

from litestar.connection import ASGIConnection, Request
from litestar.exceptions import InternalServerException
from litestar.handlers import BaseRouteHandler
from litestar.routes import HTTPRoute
from litestar.typing import FieldDefinition

from services.gateway.auth.wire import Identity
from services.gateway.http.access import Access, access_of, media_types_of
from services.gateway.http.body import NUL, Body, read_json
from services.gateway.http.faults import (
    MethodNotAllowed,
    NotAcceptable,
    RequestTimeout,
    UnsupportedMediaType,
    invalid_query,
)
from services.gateway.http.forms import Form, form_of, media_type_of
from services.gateway.http.trail import Trail, trail_of
from shared.vocabulary.decoding import close_match, decode
from shared.vocabulary.faults import BadRequest, FieldFault, Forbidden

BODY_SECONDS = 10.0
JSON_TYPES = frozenset({"application/json", "application/*", "*/*", "application/problem+json"})


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON was read by `admit` and becomes the struct that the handler asks for."""

    body_read: Body | None = None

    async def json(self) -> Any:  # noqa: ANN401 (the framework's own signature)
        """The framework puts what this returns into the handler's `data`."""
        field = self.route_handler.parsed_data_field
        if self.body_read is None or field is None:
            return None
        if self.body_read.fault is not None:
            raise self.body_read.fault
        read = form_of(self.route_handler).readers.get(media_type_of(self.headers.get("content-type", "")))
        return decode(self.body_read.tree, _body_type(field.annotation)) if read is None else read(self.body_read.tree)


async def admit(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """The guard of every route: one that declares nothing is closed."""
    access = access_of(handler)
    if access is not None and access.is_public:
        return
    caller = _agent(trail_of(connection.scope), access)
    if connection.scope.get("method") == "OPTIONS":
        raise MethodNotAllowed(_methods(connection))
    _check_accept(connection.headers.get("accept"), JSON_TYPES | media_types_of(handler))
    _check_query(connection, handler)
    field = handler.parsed_data_field
    if isinstance(connection, StrictRequest) and field is not None:
        connection.body_read = await _read_body(connection, field, form_of(handler))
    if caller is not None and (access is None or (access.scope is not None and not caller.holds(access.scope))):
        needed = "a scope" if access is None else f"the scope {access.scope}"
        raise Forbidden(f"The token's agent needs {needed} for this.", error_code="insufficient_scope")


def _agent(trail: Trail, access: Access | None) -> Identity | None:
    """None for whoever speaks for a step of a run, where that is enough: for which one, the route itself compares."""
    if access is not None and access.takes_run_token and trail.run_token is not None:
        return None
    return trail.identity


def _check_accept(accept: str | None, known: frozenset[str]) -> None:
    if accept is None:
        return
    wanted = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if wanted.isdisjoint(known):
        raise NotAcceptable("Answers are application/json, those of a stream text/event-stream.")


def _methods(connection: ASGIConnection[Any, Any, Any, Any]) -> set[str]:
    """Those of the path: the framework adds a handler for OPTIONS, which knows some of them."""
    path = connection.scope["path_template"]
    routes = [route for route in connection.app.routes if isinstance(route, HTTPRoute) and route.path_format == path]
    return {method for route in routes for method in route.methods}


def _check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    text = connection.scope.get("query_string", b"")
    if not text:
        return
    known = _query_parameters(handler)
    wrong, seen = [], set()
    for name, value in _decoded(text):
        if name not in known:
            listed = f"known ones are {', '.join(known)}" if known else "this route takes none"
            message = f"There is no such parameter; {listed}."
            wrong.append(FieldFault(name, message, "unknown_parameter", suggestion=close_match(name, known)))
        elif name in seen:
            wrong.append(FieldFault(name, "Give this parameter once.", "repeated_parameter"))
        elif NUL in value:
            wrong.append(FieldFault(name, "The character U+0000 cannot be searched for.", "invalid_character"))
        seen.add(name)
    if wrong:
        raise invalid_query(wrong)


def _decoded(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise BadRequest("The query string is not percent-encoded UTF-8.", error_code="invalid_query") from None


def _query_parameters(handler: BaseRouteHandler) -> list[str]:
    """What a handler takes beside its body, its dependencies and the parameters in its path."""
    given = {"self", "request", "data", *handler.resolve_dependencies()}
    in_path = {name for path in handler.paths for name in _names_in(path)}
    return [name for name in handler.parsed_fn_signature.parameters if name not in given | in_path]


def _names_in(path: str) -> list[str]:
    return [part[1:].partition(":")[0] for part in path.split("/") if part.startswith("{")]


async def _read_body(request: StrictRequest, field: FieldDefinition, form: Form) -> Body | None:
    headers = request.headers
    body = b""
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        _check_content_type(headers.get("content-type", ""), headers.get("content-encoding"), form.media_types)
        body = await _received(request)
    if body:
        return read_json(body, form.nodes_max)
    if not field.has_default:
        raise BadRequest("This route needs a JSON object as its body.", error_code="invalid_json")
    return None


async def _received(request: StrictRequest) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.body()
    except TimeoutError:
        raise RequestTimeout(f"The body did not arrive within {BODY_SECONDS:g} s.") from None
    except InternalServerException:
        raise BadRequest("The client went away before its body had arrived.") from None


def _check_content_type(content_type: str, content_encoding: str | None, known: list[str]) -> None:
    if content_encoding not in (None, "identity"):
        raise UnsupportedMediaType("Send the body uncompressed.")
    parameters = content_type.lower().partition(";")[2]
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "')
    if media_type_of(content_type) not in known or charset not in ("", "utf-8", "utf8"):
        listed = " or ".join(known)
        raise UnsupportedMediaType(f"Send the header Content-Type: {listed}, and the body as UTF-8.")


def _body_type(annotation: Any) -> type[object]:  # noqa: ANN401 (an annotation has no narrower type)
    """The struct, also of a body that may be left out."""
    inner = [each for each in getattr(annotation, "__args__", ()) if each is not type(None)]
    struct: type[object] = inner[0] if inner else annotation
    return struct
