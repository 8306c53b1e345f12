"""PURE: which errors a route can give, from what it declares and takes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from litestar.handlers import HTTPRouteHandler

from services.gateway.documentation.error_codes import ERROR_CODES, OF_BODIES
from services.gateway.http.access import access_of
from services.gateway.http.documentation import LOOKS_ONLY, OPTION

# Told before any route is looked for.
OF_THE_EDGE = ("bad_request", "payload_too_large", "uri_too_long", "headers_too_large", "unavailable")
OF_CALLERS = ("unauthenticated", "not_acceptable", "invalid_query", "rate_limited")
OF_JSON = (
    *("invalid_json", "invalid_encoding", "duplicate_key", "json_too_complex"),
    *("request_timeout", "unsupported_media_type"),
)
OF_KEYS = ("invalid_idempotency_key", "idempotency_in_progress", "idempotency_mismatch")


def errors_of(handler: HTTPRouteHandler, method: str, path: str, parameters: Iterable[str]) -> Mapping[int, list[str]]:
    """The codes by status, in order; `parameters` are the names of those in the query and the headers."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for written in (*_following(handler, method, path, {*parameters}), *handler.opt.get(OPTION, ())):
        code, status = _read(written)
        found[status].add(code)
    return {status: sorted(found[status]) for status in sorted(found)}


def takes_key(handler: HTTPRouteHandler, method: str) -> bool:
    return method == "POST" and LOOKS_ONLY not in handler.opt


def _following(handler: HTTPRouteHandler, method: str, path: str, parameters: set[str]) -> Iterator[str]:
    yield from OF_THE_EDGE
    access = access_of(handler)
    if access is None or not access.is_public:
        yield from OF_CALLERS
        yield "storage_unavailable"
    if access is not None and access.scope is not None:
        yield "insufficient_scope"
    if "cursor" in parameters:
        yield "invalid_cursor"
    if "{" in path:
        yield "not_found"
    if "If-Match" in parameters:
        yield "version_conflict"
    if handler.parsed_data_field is not None:
        yield from (*OF_JSON, *OF_BODIES)
    if takes_key(handler, method):
        yield from OF_KEYS


def _read(written: str) -> tuple[str, int]:
    """`409 schedule_never_fires`, or the code alone with its usual status."""
    status, _, code = written.rpartition(" ")
    if code not in ERROR_CODES:
        raise ValueError(f"describe {code} in services/gateway/documentation/error_codes.py")
    usual = ERROR_CODES[code].status
    if not status and usual is None:
        raise ValueError(f"{code} is a code of single fields, no answer has it")
    return code, int(status or usual or 0)
