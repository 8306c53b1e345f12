"""The bell of the inboxes: says that an agent's inbox is worth a look. Every gateway hears every one of them."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from uuid import UUID

import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS

logger = structlog.get_logger(__name__)

STREAM = "inbox"
FIELD = b"agent"
BELLS_KEPT = 10_000
HEARD_AT_ONCE = 1000


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
    """Reads on from where it has read to; it belongs to no group, so that nobody takes a bell from another."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read_to: bytes | None = None

    async def heard(self, timeout_seconds: float) -> Counter[UUID]:
        """How often was rung for each agent. Waits up to `timeout_seconds`, also without Redis."""
        try:
            if self._read_to is None:
                self._read_to = await self._newest()
            block = max(1, round(timeout_seconds * 1000))
            answer = await self._redis.xread({STREAM: self._read_to}, count=HEARD_AT_ONCE, block=block)
        except REDIS_ERRORS as error:
            # Another Redis may count otherwise.
            self._read_to = None
            logger.warning("inbox_bell_not_heard", error=repr(error))
            await asyncio.sleep(timeout_seconds)
            return Counter()
        rung: Counter[UUID] = Counter()
        for _, messages in answer:
            for message_id, fields in messages:
                self._read_to = message_id
                rung[UUID(bytes=fields[FIELD])] += 1
        return rung

    async def _newest(self) -> bytes:
        for message_id, _ in await self._redis.xrevrange(STREAM, count=1):
            newest: bytes = message_id
            return newest
        return b"0-0"
