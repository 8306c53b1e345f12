"""The one shape of an error, `application/problem+json` (RFC 9457), and the one handler that renders it."""

import msgspec
import structlog
from litestar import Response

from services.gateway.http.faults import MethodNotAllowed, RequestTimeout, as_fault
from services.gateway.http.trail import AnyRequest, trail_of
from shared.vocabulary.faults import Fault, FieldFault, Unauthenticated

logger = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(msgspec.Struct, frozen=True):
    """`error_code` is stable; `detail` and the messages are for reading. `validation_errors` names each wrong field."""

    type: str
    title: str
    status: int
    detail: str
    error_code: str
    validation_errors: tuple[FieldFault, ...]
    request_id: str


def problem_of(fault: Fault, request_id: str) -> Problem:
    return Problem(
        type=f"urn:pao:error:{fault.error_code}",
        title=fault.title,
        status=fault.status,
        detail=fault.detail,
        error_code=fault.error_code,
        validation_errors=fault.validation_errors,
        request_id=request_id,
    )


def headers_of(fault: Fault) -> dict[str, str]:
    headers = {}
    if isinstance(fault, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(fault, RequestTimeout):
        # What still comes of the body is no request.
        headers["Connection"] = "close"
    if isinstance(fault, MethodNotAllowed):
        headers["Allow"] = fault.allow
    if fault.retry_after_seconds is not None:
        headers["Retry-After"] = str(fault.retry_after_seconds)
    return headers


def render_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """Every error of every route ends here. One that no client caused is logged once and answered with 500."""
    fault = as_fault(request, error)
    if fault is None:
        logger.error("request_failed", exc_info=error)
        fault = Fault("Something went wrong here; the log tells more under this request_id.")
    problem = problem_of(fault, trail_of(request.scope).request_id)
    return Response(
        msgspec.json.encode(problem),
        status_code=fault.status,
        headers=headers_of(fault),
        media_type=MEDIA_TYPE,
    )
