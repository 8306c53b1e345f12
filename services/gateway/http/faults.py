"""Faults of HTTP itself, and what the framework's own exceptions mean to a client."""

from collections.abc import Iterable

from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

from services.gateway.http.forms import body_bytes_max
from services.gateway.http.trail import AnyRequest, trail_of
from shared.vocabulary.decoding import explain
from shared.vocabulary.faults import BadRequest, Fault, FieldFault, NotFound, PayloadTooLarge


class MethodNotAllowed(Fault):
    status, title, error_code = 405, "Method not allowed", "method_not_allowed"

    def __init__(self, methods: Iterable[str]) -> None:
        self.allow = ", ".join(sorted(set(methods) - {"OPTIONS"}))
        super().__init__(f"This route answers {self.allow}.")


class NotAcceptable(Fault):
    status, title, error_code = 406, "Not acceptable", "not_acceptable"


class RequestTimeout(Fault):
    status, title, error_code = 408, "Request timeout", "request_timeout"


class Gone(Fault):
    status, title, error_code = 410, "Gone", "gone"


class UriTooLong(Fault):
    status, title, error_code = 414, "URI too long", "uri_too_long"


class UnsupportedMediaType(Fault):
    status, title, error_code = 415, "Unsupported media type", "unsupported_media_type"


class HeadersTooLarge(Fault):
    status, title, error_code = 431, "Request header fields too large", "headers_too_large"


def no_such_route() -> NotFound:
    return NotFound("There is no such route; /schema/openapi.json lists those that exist.")


def too_large(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body of this request may have at most {bytes_max} bytes.")


def as_fault(request: AnyRequest, error: Exception) -> Fault | None:
    """None for an error that no client caused."""
    fault: Fault | None = None
    match error:
        case Fault():
            fault = error
        case NotFoundException():
            fault = trail_of(request.scope).refusal or no_such_route()
        case MethodNotAllowedException():
            allow = (error.headers or {}).get("allow", "")
            fault = trail_of(request.scope).refusal or MethodNotAllowed(allow.split(", "))
        case ValidationException():
            fault = _invalid_query(request, error)
        case RequestEntityTooLarge():
            fault = too_large(body_bytes_max(request.scope["path"]))
        case HTTPException() if error.status_code < 500:
            fault = BadRequest(error.detail)
    return fault


def _invalid_query(request: AnyRequest, error: ValidationException) -> BadRequest:
    """Bodies are decoded by us, so that what the framework finds wrong is a query parameter."""
    parameters = request.route_handler.parsed_fn_signature.parameters
    wrong = []
    for each in error.extra if isinstance(error.extra, list) else []:
        key = str(each.get("key", ""))
        if key == "data":
            # Beside a wrong parameter, the framework misses a body that may be left out.
            continue
        into = parameters[key].annotation if key in parameters else object
        wrong.append(explain(str(each.get("message", "")), key, into))
    return invalid_query(wrong)


def invalid_query(wrong: list[FieldFault]) -> BadRequest:
    detail = f"{wrong[0].field}: {wrong[0].message}" if wrong else "A query parameter is wrong."
    return BadRequest(detail, error_code="invalid_query", validation_errors=wrong)
