"""Broadcasts: messages that say "look now" to every process, where a bell says it to one member of a group. A lost one
costs a poll."""

from enum import StrEnum

import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS
from shared.streams.tail import Tail

logger = structlog.get_logger(__name__)

MESSAGES_KEPT = 1000


class Broadcast(StrEnum):
    """The streams. `cancels`: runs that somebody holds are asked to stop. `tokens`: tokens or agents have changed."""

    CANCELS = "cancels"
    TOKENS = "tokens"


async def announce(redis: Redis, broadcast: Broadcast) -> bool:
    """False when Redis was away: the receivers' own poll makes up for it."""
    try:
        await redis.xadd(broadcast, {"look": "now"}, maxlen=MESSAGES_KEPT, approximate=True)
    except REDIS_ERRORS as error:
        logger.warning("broadcast_not_sent", broadcast=broadcast, error=repr(error))
        return False
    return True


class Receiver:
    """Hears what is announced from its first look on."""

    def __init__(self, redis: Redis, broadcast: Broadcast) -> None:
        self._tail = Tail(redis, broadcast)

    async def heard(self, timeout_seconds: float) -> bool:
        """Wait up to `timeout_seconds` for a message. Without Redis: wait that long and answer False."""
        return bool(await self._tail.read(timeout_seconds))

    async def leave(self) -> None:
        """Nothing of it is in Redis."""
