"""The event log: each published event once or more, in the order of its publishers; readers deduplicate by id."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from redis.asyncio import Redis

from shared.streams.client import REDIS_ERRORS
from shared.vocabulary.ids import milliseconds_of

logger = structlog.get_logger(__name__)

STREAM = "events"
EVENTS_KEPT = 10_000


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way. `source`: the agent from which it comes; `published_by` names who published it.
    `attributes`: as in CloudEvents, if it has any."""

    id: UUID
    topic: str
    payload: Mapping[str, Any]
    source: UUID
    published_at: datetime
    depth: int
    published_by: str | None = None
    traceparent: str | None = None
    attributes: Mapping[str, str | bool | int] | None = None

    def fields(self) -> dict[str, str]:
        """Of a message in the stream; what is absent has no field."""
        given = {
            "id": str(self.id),
            "topic": self.topic,
            "payload": msgspec.json.encode(self.payload).decode(),
            "source": str(self.source),
            "published_at": self.published_at.isoformat(),
            "depth": str(self.depth),
            "published_by": self.published_by,
            "traceparent": self.traceparent,
            "attributes": None if self.attributes is None else msgspec.json.encode(self.attributes).decode(),
        }
        return {name: value for name, value in given.items() if value is not None}


def read_envelope(fields: Mapping[bytes, bytes]) -> Envelope:
    """What `Envelope.fields` wrote. Raises msgspec.MsgspecError for anything else."""
    text: dict[str, Any] = {name.decode(): value.decode() for name, value in fields.items()}
    written = {name: msgspec.json.decode(text.get(name, "null")) for name in ("payload", "attributes")}
    envelope: Envelope = msgspec.convert({**text, **written}, Envelope, strict=False)
    return envelope


async def trim(redis: Redis, before: datetime) -> bool:
    """Removes what was appended before that. False when Redis was away: the log is short anyway."""
    try:
        await redis.xtrim(STREAM, minid=milliseconds_of(before), approximate=False)
    except REDIS_ERRORS as error:
        logger.warning("event_log_not_trimmed", error=repr(error))
        return False
    return True


async def append(redis: Redis, envelopes: Sequence[Envelope]) -> bool:
    """False when Redis was away or refused: some may have arrived, and all are to be sent again."""
    try:
        pipeline = redis.pipeline(transaction=False)
        for envelope in envelopes:
            # Fields of text, which the client's own types do not take as such.
            fields: dict[Any, Any] = {**envelope.fields()}
            pipeline.xadd(STREAM, fields, maxlen=EVENTS_KEPT, approximate=True)
        await pipeline.execute()
    except REDIS_ERRORS as error:
        logger.warning("events_not_relayed", events=len(envelopes), error=repr(error))
        return False
    return True
