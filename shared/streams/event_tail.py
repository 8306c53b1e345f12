"""Follows the event log from its end on."""

import msgspec
import structlog
from redis.asyncio import Redis

from shared.streams.event_log import STREAM, Envelope, read_envelope
from shared.streams.tail import Tail

logger = structlog.get_logger(__name__)


class EventTail:
    """What is appended from its first look on."""

    def __init__(self, redis: Redis) -> None:
        self._tail = Tail(redis, STREAM)

    async def heard(self, timeout_seconds: float) -> list[Envelope]:
        """Waits up to `timeout_seconds`, also without Redis. What is no event is left out."""
        envelopes = []
        for fields in await self._tail.read(timeout_seconds):
            try:
                envelopes.append(read_envelope(fields))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                logger.warning("event_not_readable", error=str(error))
        return envelopes

    def leave(self) -> None:
        self._tail.leave()
