"""Answers in fewer bytes: which coding a client takes, and the coding itself, whole or piece by piece."""

import functools
import zlib
from typing import Protocol

import zstandard
from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Message

# Below this a coding costs more than it saves.
WORTH_BYTES = 1024
GZIP_LEVEL = 1
ZSTD_LEVEL = 3
WITH_GZIP_HEADER = 31
# The better one first, where a client takes both alike.
KNOWN = (b"zstd", b"gzip")
BODILESS = frozenset({204, 205, 206, 304})
TEXTS = (b"application/json", b"application/problem+json", b"application/x-ndjson", b"application/javascript")
EVENT_STREAM = b"text/event-stream"

_zstd = zstandard.ZstdCompressor(level=ZSTD_LEVEL)


class Coder(Protocol):
    """One body on its way, piece by piece."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


@functools.lru_cache(maxsize=256)
def coding_for(accept_encoding: bytes) -> bytes | None:
    """RFC 9110, section 12.5.3. None: as it is."""
    weights: dict[bytes, float] = {}
    for part in accept_encoding.lower().split(b","):
        name, _, parameters = part.partition(b";")
        weights[name.strip().removeprefix(b"x-")] = _weight(parameters)
    others = weights.get(b"*", 0.0)
    best = max(KNOWN, key=lambda name: weights.get(name, others))
    weight = weights.get(best, others)
    return best if weight > 0 and weight >= weights.get(b"identity", 0.0) else None


def is_worth_coding(status: int, content_type: bytes) -> bool:
    """A stream of events is read as it comes, and is never held back."""
    if status in BODILESS or content_type.startswith(EVENT_STREAM):
        return False
    return content_type.startswith((b"text/", *TEXTS))


class Packing:
    """One answer whose body is to be coded: its first piece tells whether it is small, whole or a stream."""

    def __init__(self, coding: bytes, start: HTTPResponseStartEvent) -> None:
        self._coding = coding
        self._start = start
        self._coder: Coder | None = None

    def next(self, piece: HTTPResponseBodyEvent) -> list[Message]:
        """What is to be sent for this piece of the body; nothing as long as the coder keeps it."""
        body, is_last = piece["body"], not piece["more_body"]
        if self._coder is not None:
            return self._coded(self._coder, body, is_last=is_last)
        if not is_last:
            self._coder = new_coder(self._coding)
            return [self._begun(None), *self._coded(self._coder, body, is_last=False)]
        if len(body) < WORTH_BYTES:
            return [self._start, piece]
        coded = code_whole(self._coding, body)
        return [self._begun(len(coded)), _piece(coded, is_last=True)]

    def _begun(self, length: int | None) -> HTTPResponseStartEvent:
        headers = [(name, value) for name, value in self._start["headers"] if name != b"content-length"]
        headers.append((b"content-encoding", self._coding))
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        return {**self._start, "headers": headers}

    @staticmethod
    def _coded(coder: Coder, body: bytes, *, is_last: bool) -> list[Message]:
        coded = coder.compress(body) + (coder.flush() if is_last else b"")
        return [_piece(coded, is_last=is_last)] if coded or is_last else []


def code_whole(coding: bytes, body: bytes) -> bytes:
    if coding == b"zstd":
        return _zstd.compress(body)
    coder = new_coder(coding)
    return coder.compress(body) + coder.flush()


def new_coder(coding: bytes) -> Coder:
    if coding == b"zstd":
        return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compressobj()
    return zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, WITH_GZIP_HEADER)


def _piece(body: bytes, *, is_last: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": not is_last}


def _weight(parameters: bytes) -> float:
    """1 where none is given; a quality that cannot be read excludes."""
    name, _, value = parameters.replace(b" ", b"").partition(b"=")
    if name != b"q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
