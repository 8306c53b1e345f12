"""The events that are kept, newest first; and their end."""

from datetime import timedelta
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.clock import DatabaseClock
from services.gateway.events import repository
from services.gateway.events.repository import ALL_AFTER, ALL_BEFORE, Place
from services.gateway.events.topics import check_topic_query, find_topics
from services.gateway.events.wire import EventsRemoved, EventView
from services.gateway.http.act import Act
from services.gateway.http.instants import wrong_query
from services.gateway.http.paging import Found, PageRequest
from shared.events.announcer import Announcer
from shared.vocabulary.limits import TOPICS_SHOWN

# What one statement removes within a second or so.
REMOVED_AT_ONCE = 20_000


class RecentFilter(msgspec.Struct, frozen=True):
    """What None says nothing about. `topic`: a topic or a pattern. `after_id`: the event after which they begin."""

    topic: str | None = None
    after_id: UUID | None = None


class RecentEvents:
    def __init__(self, clock: DatabaseClock, announcer: Announcer) -> None:
        self._clock = clock
        self._announcer = announcer

    async def list(self, connection: AsyncConnection, filters: RecentFilter, request: PageRequest) -> Found[EventView]:
        after = await _place_of(connection, filters.after_id)
        topics = await _topics_of(connection, filters.topic)
        before = ALL_AFTER if request.after is None else msgspec.convert(request.after, tuple[Place])[0]
        # One more than asked for says whether there are more.
        found = await repository.list_recent(connection, topics, after, before, request.limit + 1)
        shown = found[: request.limit]
        last = (Place(shown[-1].published_at, shown[-1].id),) if len(found) > len(shown) else None
        return Found(shown, await repository.count_recent(connection, topics, after), last)

    async def clean_up(self, connection: AsyncConnection, act: Act, max_age_hours: int) -> EventsRemoved:
        before = self._clock.now() - timedelta(hours=max_age_hours)
        removed, has_more = await repository.remove_events(connection, before, REMOVED_AT_ONCE)
        if removed:
            details = {"removed": removed, "before": before, "max_age_hours": max_age_hours}
            await record(connection, act, Action.EVENT_CLEANED_UP, "all", details)
        act.after_commit(lambda: self._announcer.want_trimmed(before))
        return EventsRemoved(removed, before, has_more)


async def _place_of(connection: AsyncConnection, event_id: UUID | None) -> Place:
    if event_id is None:
        return ALL_BEFORE
    place = await repository.find_place(connection, event_id)
    if place is None:
        message = "There is no event with this id (any more). Leave after_id out to begin with the newest."
        raise wrong_query("after_id", message, "invalid_id")
    return place


async def _topics_of(connection: AsyncConnection, pattern: str | None) -> list[str] | None:
    """None for every topic."""
    if pattern is None:
        return None
    check_topic_query(pattern)
    topics = await find_topics(connection, pattern)
    if topics is None:
        message = f"More than {TOPICS_SHOWN} topics begin so. Write more names before the first *, or no topic at all."
        raise wrong_query("topic", message, "out_of_range")
    return topics
