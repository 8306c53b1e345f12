"""Takes events from the table to the event log: first told, then marked, so that none is lost and some come twice."""

from collections.abc import Sequence

import asyncpg
from redis.asyncio import Redis

from shared.events.event import Published
from shared.events.publishing import SQL
from shared.streams.event_log import Envelope, append


def envelope_of(published: Published) -> Envelope:
    event = published.event
    return Envelope(
        id=event.id,
        topic=event.topic,
        payload=event.payload,
        source=event.source_agent_id,
        published_at=published.published_at,
        depth=event.depth,
        traceparent=event.traceparent,
    )


async def relay(pool: asyncpg.Pool, redis: Redis, envelopes: Sequence[Envelope]) -> int:
    """How many were relayed: all, or none that is known of. No transaction is open while Redis is asked."""
    if not await append(redis, envelopes):
        return 0
    await pool.execute(SQL["mark_relayed"].sql, [envelope.id for envelope in envelopes])
    return len(envelopes)
