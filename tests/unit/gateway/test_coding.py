import hashlib
import zlib

import pytest
import zstandard

from services.gateway.http.compression import (
    WITH_GZIP_HEADER,
    WORTH_BYTES,
    Packing,
    code_whole,
    coding_for,
    is_worth_coding,
)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        (b"gzip", b"gzip"),
        (b"zstd", b"zstd"),
        (b"gzip, deflate, br, zstd", b"zstd"),
        (b"GZIP;Q=0.5", b"gzip"),
        (b"gzip;q=1, zstd;q=0.5", b"gzip"),
        (b"zstd;q=0, gzip", b"gzip"),
        (b"x-gzip", b"gzip"),
        (b"*", b"zstd"),
        (b"zstd;q=0, *;q=0.1", b"gzip"),
        (b"identity, gzip", b"gzip"),
        (b"identity;q=1, gzip;q=0.5", None),
        (b"identity", None),
        (b"br", None),
        (b"", None),
        (b"gzip;q=0", None),
        (b"gzip;q=x", None),
        (b"gzip;q=2", None),
        (b"gzip;q=nan", None),
        (b";;,,=", None),
    ],
)
def test_the_coding_is_the_one_that_the_client_likes_best(accepted: bytes, coding: bytes | None) -> None:
    assert coding_for(accepted) == coding


@pytest.mark.parametrize("content_type", [b"application/json", b"application/problem+json", b"text/csv; charset=utf-8"])
def test_texts_are_coded(content_type: bytes) -> None:
    assert is_worth_coding(200, content_type)


@pytest.mark.parametrize(
    ("status", "content_type"),
    [
        (204, b"application/json"),
        (304, b"application/json"),
        (200, b"text/event-stream"),
        (200, b"image/png"),
        (200, b""),
    ],
)
def test_events_pictures_and_nothing_are_not(status: int, content_type: bytes) -> None:
    assert not is_worth_coding(status, content_type)


def _sent(coding: bytes, pieces: list[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
    length = (b"content-length", b"%d" % sum(map(len, pieces)))
    packing = Packing(coding, {"type": "http.response.start", "status": 200, "headers": [length]})
    messages = []
    for number, piece in enumerate(pieces, 1):
        messages += packing.next(
            {"type": "http.response.body", "body": piece, "more_body": number < len(pieces)},
        )
    start, *bodies = messages
    assert start["type"] == "http.response.start"
    assert [body["more_body"] for body in bodies if body["type"] == "http.response.body"].index(False) == len(
        bodies
    ) - 1
    return dict(start["headers"]), [body["body"] for body in bodies if body["type"] == "http.response.body"]


def _decoded(coding: bytes, body: bytes) -> bytes:
    if coding == b"zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return zlib.decompress(body, WITH_GZIP_HEADER)


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_a_whole_body_is_coded_and_its_length_is_told(coding: bytes) -> None:
    body = b"tomato" * 1000
    headers, (sent,) = _sent(coding, [body])
    assert _decoded(coding, sent) == body
    assert headers == {b"content-encoding": coding, b"content-length": b"%d" % len(sent)}
    assert len(code_whole(coding, body)) < len(body) // 10


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_a_small_body_stays_as_it_is(coding: bytes) -> None:
    headers, sent = _sent(coding, [b"x" * (WORTH_BYTES - 1)])
    assert ({*headers}, sent) == ({b"content-length"}, [b"x" * (WORTH_BYTES - 1)])


@pytest.mark.parametrize("coding", [b"gzip", b"zstd"])
def test_a_stream_is_coded_as_it_comes_and_nothing_of_it_is_kept(coding: bytes) -> None:
    pieces = [hashlib.shake_256(b"%d" % number).digest(5000) for number in range(200)]
    headers, sent = _sent(coding, [*pieces, b""])
    assert headers == {b"content-encoding": coding}
    assert _decoded(coding, b"".join(sent)) == b"".join(pieces)
    assert len(sent) > 2
