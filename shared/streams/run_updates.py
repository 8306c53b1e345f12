"""Run updates: which runs have changed, for whoever shows them as they change. One message for each batch of changes; a
lost one costs a look into the database."""

from collections.abc import Mapping, Sequence
from itertools import chain
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS
from shared.streams.tail import Tail

logger = structlog.get_logger(__name__)

STREAM = "run-updates"
FIELD = b"runs"
MESSAGES_KEPT = 10_000
# There while somebody listens anywhere.
WANTED = "run-updates:wanted"
WANTED_SECONDS = 5


class RunChange(msgspec.Struct, frozen=True, array_like=True):
    """`agent_id` None: whoever tells it has not looked whose run it is. `status`: of the run from then on."""

    run_id: UUID
    agent_id: UUID | None
    status: str


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_decoder = msgspec.msgpack.Decoder(list[RunChange])


async def publish(redis: Redis, changes: Sequence[RunChange]) -> bool:
    """False when Redis was away: the listeners' own look makes up for it."""
    try:
        await redis.xadd(STREAM, {FIELD: _encoder.encode(changes)}, maxlen=MESSAGES_KEPT, approximate=True)
    except REDIS_ERRORS as error:
        logger.warning("run_updates_not_told", runs=len(changes), error=repr(error))
        return False
    return True


async def want(redis: Redis) -> bool:
    """Somebody listens here; to be said again well before it is forgotten."""
    try:
        await redis.set(WANTED, b"1", ex=WANTED_SECONDS)
    except REDIS_ERRORS:
        return False
    return True


async def is_wanted(redis: Redis) -> bool:
    try:
        return bool(await redis.exists(WANTED))
    except REDIS_ERRORS:
        return False


class RunUpdateTail:
    """What is told from its first look on."""

    def __init__(self, redis: Redis) -> None:
        self._tail = Tail(redis, STREAM)

    async def heard(self, timeout_seconds: float) -> list[RunChange]:
        """Waits up to `timeout_seconds`, also without Redis."""
        return [*chain.from_iterable(map(_changes_of, await self._tail.read(timeout_seconds)))]

    def leave(self) -> None:
        self._tail.leave()


def _changes_of(fields: Mapping[bytes, bytes]) -> list[RunChange]:
    try:
        return _decoder.decode(fields.get(FIELD, b""))
    except msgspec.MsgspecError as error:
        logger.warning("run_updates_not_readable", error=str(error))
        return []
