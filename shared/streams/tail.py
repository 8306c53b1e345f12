"""Reads a stream from its end on, as a member of no group: everybody hears everything, and nothing is left behind."""

import asyncio
from collections.abc import Mapping

import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS

logger = structlog.get_logger(__name__)

READ_AT_ONCE = 1000
FIRST = b"0-0"


class Tail:
    """What is appended from its first look on."""

    def __init__(self, redis: Redis, stream: str) -> None:
        self._redis = redis
        self._stream = stream
        self._read_to: bytes | None = None

    async def read(self, timeout_seconds: float) -> list[Mapping[bytes, bytes]]:
        """The fields of what has come. Waits up to `timeout_seconds`, also without Redis."""
        try:
            if self._read_to is None:
                self._read_to = await self._newest()
            block = max(1, round(timeout_seconds * 1000))
            answer = await self._redis.xread({self._stream: self._read_to}, count=READ_AT_ONCE, block=block)
        except REDIS_ERRORS as error:
            # Another Redis, or one that was emptied, may count otherwise.
            self._read_to = None
            logger.warning("stream_not_read", stream=self._stream, error=repr(error))
            await asyncio.sleep(timeout_seconds)
            return []
        messages = [message for _, messages in answer for message in messages]
        if messages:
            self._read_to = messages[-1][0]
        return [fields for _, fields in messages]

    def leave(self) -> None:
        """What comes from now until the next look is not missed by anybody."""
        self._read_to = None

    async def _newest(self) -> bytes:
        """Where the stream stands. `$` would miss what comes between two reads."""
        for message_id, _ in await self._redis.xrevrange(self._stream, count=1):
            newest: bytes = message_id
            return newest
        return FIRST
