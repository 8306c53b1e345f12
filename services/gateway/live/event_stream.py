"""What one client is told of events."""

import contextlib
from collections.abc import AsyncIterator

from services.gateway.http.streaming import message
from services.gateway.live.event_listener import EventListener
from services.gateway.live.event_watch import EventWatch
from services.gateway.live.stream import Follower

EVENT = "event"


class EventFollower(Follower):
    """Each event once or more, in the order of their publication as far as it is known when they are told."""

    def __init__(self, watch: EventWatch, listener: EventListener) -> None:
        self.listener = self._listener = listener
        self._watch = watch

    @contextlib.asynccontextmanager
    async def entered(self) -> AsyncIterator[None]:
        with self._watch.enter(self._listener):
            await self._watch.begin()
            yield

    @property
    def position(self) -> str | None:
        """The event that was told last."""
        return None if self._listener.last_id is None else str(self._listener.last_id)

    @property
    def has_more(self) -> bool:
        return self._listener.has_more

    async def news(self) -> AsyncIterator[bytes]:
        listener = self._listener
        events = listener.take() if listener.behind is None else await self._watch.next_page(listener)
        for event in events:
            listener.note_told(event)
            yield message(EVENT, event.data, str(event.id))
