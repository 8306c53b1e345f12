"""Which request headers a user may set."""

import re
from collections.abc import Mapping

from shared.vocabulary.faults import Invalid, invalid_field

MAX_HEADERS = 64
MAX_NAME_LENGTH = 128
MAX_HEADERS_BYTES = 16 * 1024

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
# RFC 9110 section 5.5: a tab is the only control character. Those of C1 are refused as terminals obey them.
FORBIDDEN_IN_VALUE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")

RESERVED_NAMES = frozenset(
    {
        # they belong to the connection (RFC 9110 section 7.6.1), which is ours
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # derived from the URL, the body, and what the client can decode
        "accept-encoding",
        "content-length",
        "host",
        # set by this service: the receiver trusts them
        "idempotency-key",
        "traceparent",
        "tracestate",
    }
)
RESERVED_PREFIXES = ("webhook-", "pao-")


def check_headers(headers: Mapping[str, str], field: str) -> None:
    """Raises `Invalid` with code `invalid_header` and the path of the wrong header below `field`."""
    if len(headers) > MAX_HEADERS:
        raise _invalid(field, f"At most {MAX_HEADERS} headers can be set.")
    seen: set[str] = set()
    for name, value in headers.items():
        _check_name(name, field)
        _check_value(name, value, field)
        if name.lower() in seen:
            raise _invalid(f"{field}.{name}", "This header is given twice.")
        seen.add(name.lower())
    if sum(len(name) + len(value.encode()) for name, value in headers.items()) > MAX_HEADERS_BYTES:
        raise _invalid(field, f"The headers are longer than {MAX_HEADERS_BYTES} bytes together.")


def _check_name(name: str, field: str) -> None:
    if len(name) > MAX_NAME_LENGTH or TOKEN.fullmatch(name) is None:
        raise _invalid(field, "A header name consists of 1 to 128 letters, digits and !#$%&'*+-.^_`|~.")
    lowered = name.lower()
    if lowered in RESERVED_NAMES or lowered.startswith(RESERVED_PREFIXES):
        raise _invalid(f"{field}.{name}", "This header is set by the service: leave it out.")


def _check_value(name: str, value: str, field: str) -> None:
    if FORBIDDEN_IN_VALUE.search(value):
        raise _invalid(f"{field}.{name}", "A header value holds no line breaks or other control characters.")


def _invalid(field: str, message: str) -> Invalid:
    return invalid_field(field, message, "invalid_header")
