"""Faults that a client can cause or must be told of: each carries its HTTP status, its stable code and the facts."""

from collections.abc import Sequence

import msgspec


class FieldFault(msgspec.Struct, frozen=True, omit_defaults=True):
    """One wrong value in a request. `field` is a dotted path (`payload.pipeline[0].uses`); `message` is a sentence that
    leads to the fix; `position` is a character offset inside the value; `suggestion` a value that would be accepted;
    `schema_path` the JSON pointer in a tool's input schema that a step's input does not fit."""

    field: str
    message: str
    code: str
    position: int | None = None
    suggestion: str | None = None
    schema_path: str | None = None


class Fault(Exception):
    """A refusal with an owner: raised where the fact is known, rendered once at the edge."""

    status = 500
    title = "Internal error"
    error_code = "internal"

    def __init__(
        self,
        detail: str,
        *,
        error_code: str | None = None,
        validation_errors: Sequence[FieldFault] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.validation_errors = tuple(validation_errors)
        self.retry_after_seconds = retry_after_seconds
        if error_code is not None:
            self.error_code = error_code


class BadRequest(Fault):
    status, title, error_code = 400, "Bad request", "bad_request"


class Unauthenticated(Fault):
    status, title, error_code = 401, "Unauthenticated", "unauthenticated"


class Forbidden(Fault):
    status, title, error_code = 403, "Forbidden", "forbidden"


class NotFound(Fault):
    status, title, error_code = 404, "Not found", "not_found"


class Conflict(Fault):
    status, title, error_code = 409, "Conflict", "conflict"


class PreconditionFailed(Fault):
    status, title, error_code = 412, "Precondition failed", "version_conflict"


class PayloadTooLarge(Fault):
    status, title, error_code = 413, "Payload too large", "payload_too_large"


class Invalid(Fault):
    """A well-formed request with a wrong value."""

    status, title, error_code = 422, "Unprocessable content", "invalid"


class TooManyRequests(Fault):
    status, title, error_code = 429, "Too many requests", "too_many_requests"


class Unavailable(Fault):
    status, title, error_code = 503, "Service unavailable", "unavailable"


def invalid_field(
    field: str, message: str, code: str, *, position: int | None = None, suggestion: str | None = None
) -> Invalid:
    """The fault for one wrong value: its code is also the code of the whole answer."""
    wrong = FieldFault(field, message, code, position, suggestion)
    return Invalid(message, error_code=code, validation_errors=[wrong])
