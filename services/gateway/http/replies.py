"""What a change answers, ready to be stored for a client that asks again."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Response

MEDIA_TYPE = "application/json"
CREATED = 201
REPLAYED = "Idempotency-Replayed"


class Reply(msgspec.Struct, frozen=True):
    """`kept` replaces `content` where that may not be stored."""

    status: int
    content: bytes
    headers: Mapping[str, str]
    kept: bytes | None = None

    @property
    def is_replayed(self) -> bool:
        return REPLAYED in self.headers

    @property
    def to_store(self) -> bytes:
        return self.content if self.kept is None else self.kept

    def response(self) -> Response[Any]:
        return Response(self.content, status_code=self.status, headers=self.headers, media_type=MEDIA_TYPE)


class ActionDone(msgspec.Struct, frozen=True):
    """What an action on an object answers. `message` says in words what happened."""

    message: str
    details: Mapping[str, object]
    success: bool = True


def reply(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None, kept: object = None
) -> Reply:
    stored = None if kept is None else msgspec.json.encode(kept)
    return Reply(status, msgspec.json.encode(content), headers or {}, stored)


def etag(version: int) -> dict[str, str]:
    return {"ETag": f'"{version}"'}
