"""Takes events from the table to the event log: first told, then marked, so that none is lost and some come twice."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec
from redis.asyncio import Redis

from shared.events.event import Published
from shared.events.publishing import SQL
from shared.streams.event_log import Envelope, append

# Of more that wait before an event, nobody looks whose they are: they all come first.
EARLIER_COMPARED = 6000


class InOrder(msgspec.Struct, frozen=True):
    """`held_back`: events before which others of the same source are to be relayed."""

    next: Sequence[Envelope]
    held_back: Sequence[Envelope]


def envelope_of(published: Published) -> Envelope:
    event = published.event
    return Envelope(
        id=event.id,
        topic=event.topic,
        payload=event.payload,
        source=event.source_agent_id,
        published_at=published.published_at,
        depth=event.depth,
        published_by=event.published_by,
        traceparent=event.traceparent,
        attributes=event.attributes,
    )


async def relay(pool: asyncpg.Pool, redis: Redis, envelopes: Sequence[Envelope]) -> int:
    """How many were relayed: all, or none that is known of. No transaction is open while Redis is asked."""
    if not envelopes or not await append(redis, envelopes):
        return 0
    await pool.execute(SQL["mark_relayed"].sql, [envelope.id for envelope in envelopes])
    return len(envelopes)


async def in_order(pool: asyncpg.Pool, envelopes: Sequence[Envelope]) -> InOrder:
    """What may be relayed now of events that were just published, so that the log has the events of each source in
    their order, whichever processes published them. What was relayed meanwhile is in neither part."""
    last = max(envelope.published_at for envelope in envelopes)
    rows = await pool.fetch(SQL["list_to_relay"].sql, last, EARLIER_COMPARED)
    return split([(row["id"], row["source_agent_id"]) for row in rows], envelopes)


def split(to_relay: Sequence[tuple[UUID, UUID]], envelopes: Sequence[Envelope]) -> InOrder:
    """`to_relay`: ids and sources of all that is to be relayed up to the last of these, in the order of publishing;
    EARLIER_COMPARED at most."""
    if len(to_relay) >= EARLIER_COMPARED:
        return InOrder([], envelopes)
    own = {envelope.id for envelope in envelopes}
    waiting_sources: set[UUID] = set()
    may_go: dict[UUID, bool] = {}
    for event_id, source in to_relay:
        if event_id in own:
            may_go[event_id] = source not in waiting_sources
        else:
            waiting_sources.add(source)
    return InOrder(
        [envelope for envelope in envelopes if may_go.get(envelope.id) is True],
        [envelope for envelope in envelopes if may_go.get(envelope.id) is False],
    )
