"""Cross-origin calls of browsers: off, unless the operator names origins; those exactly, and never with cookies."""

import re
from collections.abc import Sequence
from typing import TypeAlias

Headers: TypeAlias = list[tuple[bytes, bytes]]

ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::\d{1,5})?")
METHODS = b"GET, POST, PUT, DELETE"
TAKEN = (
    b"Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    b"X-Request-ID, traceparent, tracestate"
)
SHOWN = (
    b"ETag, Location, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-ID, "
    b"Idempotency-Replayed, Link, Deprecation, Sunset"
)
REMEMBERED_SECONDS = b"600"


class Cors:
    """`origins`: as browsers write them, scheme and host in small letters, without a path."""

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(origin.encode() for origin in origins)

    def preflight(self, method: str, origin: bytes | None, wanted_method: bytes | None) -> Headers | None:
        """What answers the question of a browser whether it may call; None for what is no such question."""
        if method != "OPTIONS" or wanted_method is None or origin not in self._origins:
            return None
        return [
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", TAKEN),
            (b"access-control-max-age", REMEMBERED_SECONDS),
        ]

    def headers(self, origin: bytes | None) -> Headers:
        """Of every answer: an origin that is not named gets none but `Vary`."""
        vary = (b"vary", b"Origin")
        if origin is None or origin not in self._origins:
            return [vary]
        return [vary, (b"access-control-allow-origin", origin), (b"access-control-expose-headers", SHOWN)]


def parse_origins(text: str) -> tuple[str, ...]:
    """Raises ValueError for what is not one exact origin, such as `*`."""
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        if not ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is no origin; write it as https://console.example.com")
    return origins
