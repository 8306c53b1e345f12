"""Broadcasts: messages that say "look now" to every process, where a bell says it to one member of a group. A lost one
costs a poll."""

import asyncio
from enum import StrEnum

import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS

logger = structlog.get_logger(__name__)

MESSAGES_KEPT = 1000
FIRST = "0-0"


class Broadcast(StrEnum):
    """The streams. `cancels`: runs that somebody holds are asked to stop."""

    CANCELS = "cancels"


async def announce(redis: Redis, broadcast: Broadcast) -> bool:
    """False when Redis was away: the receivers' own poll makes up for it."""
    try:
        await redis.xadd(broadcast, {"look": "now"}, maxlen=MESSAGES_KEPT, approximate=True)
    except REDIS_ERRORS as error:
        logger.warning("broadcast_not_sent", broadcast=broadcast, error=repr(error))
        return False
    return True


class Receiver:
    """Hears what is announced from its first look on. It is a member of no group and leaves nothing behind."""

    def __init__(self, redis: Redis, broadcast: Broadcast) -> None:
        self._redis = redis
        self._broadcast = broadcast
        self._last: str | None = None

    async def heard(self, timeout_seconds: float) -> bool:
        """Wait up to `timeout_seconds` for a message. Without Redis: wait that long and answer False."""
        try:
            if self._last is None:
                self._last = await self._newest()
            block = max(1, round(timeout_seconds * 1000))
            streams = await self._redis.xread({self._broadcast: self._last}, count=MESSAGES_KEPT, block=block)
        except REDIS_ERRORS as error:
            # Emptied meanwhile, a stream may begin again with smaller ids.
            self._last = None
            logger.warning("broadcast_not_heard", broadcast=self._broadcast, error=repr(error))
            await asyncio.sleep(timeout_seconds)
            return False
        for _, messages in streams:
            self._last = messages[-1][0]
        return bool(streams)

    async def leave(self) -> None:
        """Nothing of it is in Redis."""

    async def _newest(self) -> str:
        """Where the stream stands. `$` would miss what comes between two reads."""
        newest = await self._redis.xrevrange(self._broadcast, count=1)
        return newest[0][0] if newest else FIRST
