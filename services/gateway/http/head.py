"""The headers of a request that concern every route, found in one pass."""

from collections.abc import Iterable, Mapping, Sequence

# As the server hands them over: in small letters.
WANTED = frozenset(
    {
        b"accept-encoding",
        b"access-control-request-method",
        b"authorization",
        b"content-length",
        b"if-none-match",
        b"origin",
        b"traceparent",
        b"x-forwarded-for",
        b"x-request-id",
    }
)
NONE: Sequence[bytes] = ()


class Head:
    """`size_bytes`: of all headers together."""

    def __init__(self, found: Mapping[bytes, Sequence[bytes]], size_bytes: int) -> None:
        self._found = found
        self.size_bytes = size_bytes

    def all(self, name: bytes) -> Sequence[bytes]:
        return self._found.get(name, NONE)

    def first(self, name: bytes) -> bytes | None:
        values = self._found.get(name)
        return None if values is None else values[0]


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    found: dict[bytes, list[bytes]] = {}
    size_bytes = 0
    for name, value in headers:
        size_bytes += len(name) + len(value)
        if name in WANTED:
            found.setdefault(name, []).append(value)
    return Head(found, size_bytes)
