"""The answers that refuse: one component for each set of codes, which operations share."""

from collections.abc import Sequence
from http import HTTPStatus

from litestar.handlers import HTTPRouteHandler

from services.gateway.documentation.error_codes import ERROR_CODES, TITLES
from services.gateway.documentation.following import takes_key
from services.gateway.documentation.schemas import REFERENCE, Schema
from services.gateway.http.problems import MEDIA_TYPE

LATER = frozenset({429, 503})
RATE_LIMITS = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
EXAMPLE_ID = "0f8a3c5de1b24c7f9a6b0d1e2f3a4b5c"


class Errors:
    """`responses` are the components made so far."""

    def __init__(self) -> None:
        self.responses: dict[str, Schema] = {}
        self._names: dict[tuple[int, tuple[str, ...]], str] = {}

    def reference(self, status: int, codes: Sequence[str], handler: HTTPRouteHandler) -> Schema:
        key = (status, tuple(codes))
        if key not in self._names:
            self._names[key] = self._free_name(status)
            self.responses[self._names[key]] = _response(status, codes, self.headers(status, handler, ""))
        return {"$ref": f"#/components/responses/{self._names[key]}"}

    def headers(self, status: int, handler: HTTPRouteHandler, method: str) -> Schema:
        """What an answer of this status has beside its body."""
        names = ["X-Request-ID", *RATE_LIMITS]
        if status in LATER or status == HTTPStatus.CONFLICT:
            names.append("Retry-After")
        if status == HTTPStatus.UNAUTHORIZED:
            names.append("WWW-Authenticate")
        if status < HTTPStatus.BAD_REQUEST and takes_key(handler, method):
            names.append("Idempotency-Replayed")
        return {name: {"$ref": f"#/components/headers/{name}"} for name in names}

    def _free_name(self, status: int) -> str:
        """`Conflict`, then `Conflict2`."""
        name = "".join(word.capitalize() for word in TITLES[status].split())
        count = sum(1 for of, _ in self._names if of == status)
        return name if count == 0 else f"{name}{count + 1}"


def _response(status: int, codes: Sequence[str], headers: Schema) -> Schema:
    listed = [f"- `{code}`: {ERROR_CODES[code].meaning} {ERROR_CODES[code].remedy}" for code in codes]
    return {
        "description": "\n".join([f"{TITLES[status]}.", "", *listed]),
        "headers": headers,
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [{"$ref": f"{REFERENCE}Problem"}],
                    "properties": {"status": {"const": status}, "error_code": {"enum": [*codes]}},
                },
                "examples": {code: {"value": _example(status, code)} for code in codes},
            }
        },
    }


def _example(status: int, code: str) -> Schema:
    known = ERROR_CODES[code]
    wrong = {"field": "title", "message": known.remedy, "code": code}
    return {
        "type": f"urn:pao:error:{code}",
        "title": TITLES[status],
        "status": status,
        "detail": known.meaning,
        "error_code": code,
        "validation_errors": [wrong] if status == HTTPStatus.UNPROCESSABLE_ENTITY else [],
        "request_id": EXAMPLE_ID,
    }
