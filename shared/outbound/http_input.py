"""The input of the tool `http.request`, checked at write time and again before it is sent."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.outbound.headers import check_headers
from shared.outbound.urls import check_url
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import TIMEOUT_SECONDS

Method = Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


class HttpRequestInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`json` is any JSON value, null included; `body` is text that is sent as it is. At most one of them."""

    url: str
    method: Method | None = None
    headers: dict[str, str] = {}
    json: object = msgspec.UNSET
    body: str | None = None
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)] = 30.0

    @property
    def has_body(self) -> bool:
        return self.json is not msgspec.UNSET or self.body is not None

    @property
    def effective_method(self) -> Method:
        return self.method or ("POST" if self.has_body else "GET")


def check_http_request(arguments: Mapping[str, object], policy: AddressPolicy, field_prefix: str) -> HttpRequestInput:
    """Reads the arguments; raises `Invalid` with the path of the first wrong value below `field_prefix`."""
    request = decode(arguments, HttpRequestInput, field_prefix)
    check_url(request.url, policy, f"{field_prefix}.url")
    check_headers(request.headers, f"{field_prefix}.headers")
    _check_body(request, field_prefix)
    return request


def _check_body(request: HttpRequestInput, field_prefix: str) -> None:
    if request.json is not msgspec.UNSET and request.body is not None:
        raise invalid_field(f"{field_prefix}.body", "Give either json or body, not both.", "invalid_body")
    if request.body is not None and not _is_encodable(request.body):
        message = "The body holds half of a surrogate pair, which no encoding can carry."
        raise invalid_field(f"{field_prefix}.body", message, "invalid_character")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
