"""One who follows events: what he wants to see of them, and what was published since he was told last."""

from collections import deque
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from services.gateway.events.wire import EventView
from services.gateway.http.streaming import Sleeper
from shared.vocabulary.topics import ONE, matches

# Beyond these, what is to be told is read anew when there is room.
EVENTS_WAITING = 250
BYTES_WAITING = 512 * 1024
IDS_REMEMBERED = 1000
# An event bears the time at which its transaction began, and is seen when it has ended.
LONGEST_TRANSACTION = timedelta(seconds=10)
FIRST_ID = UUID(int=0)


class Shown(msgspec.Struct, frozen=True):
    """An event as all who follow it are sent it."""

    id: UUID
    topic: str
    published_at: datetime
    data: bytes


def shown(view: EventView) -> Shown:
    return Shown(view.id, view.topic, view.published_at, msgspec.json.encode(view))


class CatchUp(msgspec.Struct, frozen=True):
    """What was published after this place in their order is looked up page by page."""

    published_at: datetime
    id: UUID = FIRST_ID


class EventListener(Sleeper):
    """`behind`: more was published than could wait. What was told is remembered for a while, so that nothing that is
    looked up anew is told twice without need."""

    def __init__(self, pattern: str | None, began_at: datetime, after: UUID | None = None) -> None:
        """`after`: the event that the same client was told last; `began_at`: when it was published, or the time now."""
        super().__init__()
        self._pattern = pattern
        self._began_at = began_at if after is None else began_at - LONGEST_TRANSACTION
        self._told: dict[UUID, None] = {} if after is None else {after: None}
        self._told_to = self._began_at
        self.last_id = after
        self.behind = None if after is None else CatchUp(self._began_at)
        self._is_too_much = False
        self._waiting: deque[Shown] = deque()
        self._bytes = 0

    @property
    def topic(self) -> str | None:
        """If it is one alone."""
        return None if self._pattern is None or ONE in self._pattern else self._pattern

    @property
    def has_more(self) -> bool:
        return self.behind is not None or bool(self._waiting)

    def covers(self, topic: str) -> bool:
        return self._pattern is None or matches(self._pattern, topic)

    def hear(self, event: Shown) -> None:
        self._waiting.append(event)
        self._bytes += len(event.data)
        if len(self._waiting) > EVENTS_WAITING or self._bytes > BYTES_WAITING:
            self._forget_waiting()
            self._is_too_much = self.behind is not None
            self.behind = self.behind or self._behind(self._told_to)
        self.wake()

    def take(self) -> list[Shown]:
        """What waits and was not told yet."""
        waiting = [*self._waiting]
        self._forget_waiting()
        return [event for event in waiting if event.id not in self._told]

    def turn_page(self, behind: CatchUp, page: list[Shown], *, is_last: bool) -> list[Shown]:
        """What of it is to be told."""
        self.behind = CatchUp(page[-1].published_at, page[-1].id) if page else behind
        if is_last:
            # What did not fit meanwhile may not have been in the pages.
            self.behind = self._behind(self.behind.published_at) if self._is_too_much else None
            self._is_too_much = False
        return [event for event in page if self.covers(event.topic) and event.id not in self._told]

    def note_told(self, event: Shown) -> None:
        self._told[event.id] = None
        self._told_to = max(self._told_to, event.published_at)
        self.last_id = event.id
        while len(self._told) > IDS_REMEMBERED:
            del self._told[next(iter(self._told))]

    def _behind(self, published_at: datetime) -> CatchUp:
        return CatchUp(max(published_at - LONGEST_TRANSACTION, self._began_at))

    def _forget_waiting(self) -> None:
        self._waiting.clear()
        self._bytes = 0
