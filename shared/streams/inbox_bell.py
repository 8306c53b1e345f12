"""The bell of the inboxes: says that an agent's inbox is worth a look. Every gateway hears every one of them."""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS
from shared.streams.tail import Tail

logger = structlog.get_logger(__name__)

STREAM = "inbox"
FIELD = b"agent"
BELLS_KEPT = 10_000


async def ring_inbox(redis: Redis, agent_ids: Iterable[UUID]) -> bool:
    """Once per message. False when Redis was away: the gateways' own look makes up for it."""
    try:
        pipeline = redis.pipeline(transaction=False)
        for agent_id in agent_ids:
            pipeline.xadd(STREAM, {FIELD: agent_id.bytes}, maxlen=BELLS_KEPT, approximate=True)
        await pipeline.execute()
    except REDIS_ERRORS as error:
        logger.warning("inbox_bell_not_rung", error=repr(error))
        return False
    return True


class InboxListener:
    """What is rung from its first look on."""

    def __init__(self, redis: Redis) -> None:
        self._tail = Tail(redis, STREAM)

    async def heard(self, timeout_seconds: float) -> Counter[UUID]:
        """How often was rung for each agent. Waits up to `timeout_seconds`, also without Redis."""
        return Counter(UUID(bytes=fields[FIELD]) for fields in await self._tail.read(timeout_seconds))
