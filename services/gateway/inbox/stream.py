"""An inbox as server-sent events, for as long as the token is valid."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

import msgspec
from litestar.response import ServerSentEventMessage

from services.gateway.auth.service import Authenticator
from services.gateway.inbox.service import InboxService
from services.gateway.inbox.waiters import Waiter
from services.gateway.inbox.wire import InboxItem
from shared.vocabulary.faults import TooManyRequests, Unauthenticated, Unavailable

EVENT = "message"


class Pace(msgspec.Struct, frozen=True):
    """How long a stream is silent at most, how often its token is looked at, and how often a full one looks whether
    something was settled elsewhere."""

    alive_seconds: float = 15.0
    token_seconds: float = 60.0
    full_seconds: float = 1.0


class InboxStreams:
    """Opens streams."""

    pace = Pace()

    def __init__(self, inbox: InboxService, authenticator: Authenticator) -> None:
        self._inbox = inbox
        self._authenticator = authenticator

    def open(self, agent_id: UUID, token: str, *, window: int, visibility_seconds: int) -> "InboxStream":
        """Raises TooManyRequests."""
        self._inbox.waiters.check_room(agent_id)
        return InboxStream(
            self._inbox,
            agent_id,
            lambda: self._authenticator.identify(token),
            window=window,
            visibility_seconds=visibility_seconds,
            pace=self.pace,
        )


class InboxStream:
    """At most `window` messages are out at a time; what is settled, or becomes visible again, makes room."""

    def __init__(
        self,
        inbox: InboxService,
        agent_id: UUID,
        check_token: Callable[[], Awaitable[object]],
        *,
        window: int,
        visibility_seconds: int,
        pace: Pace,
    ) -> None:
        self._inbox = inbox
        self._agent_id = agent_id
        self._check_token = check_token
        self._window = window
        self._visibility_seconds = visibility_seconds
        self._pace = pace
        self._held: dict[UUID, int] = {}
        self._silent_since = self._checked_at = time.monotonic()

    async def events(self) -> AsyncIterator[ServerSentEventMessage]:
        try:
            with self._inbox.waiters.enter(self._agent_id) as waiter:
                async for event in self._until_over(waiter):
                    self._silent_since = time.monotonic()
                    yield event
        except (TooManyRequests, Unauthenticated):
            return

    async def _until_over(self, waiter: Waiter) -> AsyncIterator[ServerSentEventMessage]:
        # Said at once, so that the client knows that it listens.
        yield _comment("listening")
        while not waiter.is_over:
            items = await self._taken(waiter)
            for item in items:
                yield _event(item)
            if not items:
                await waiter.woken(self._pause_seconds(waiter))
            if self._is_past(self._silent_since, self._pace.alive_seconds):
                yield _comment("alive")
            await self._check_token_if_due()

    async def _taken(self, waiter: Waiter) -> list[InboxItem]:
        """Without the database nothing is taken: the stream lives through its absence."""
        try:
            self._held = await self._inbox.still_held(self._held)
            room = self._window - len(self._held)
            waiter.is_full = room <= 0
            items = [] if waiter.is_full else await self._inbox.take(self._agent_id, room, self._visibility_seconds)
        except Unavailable:
            return []
        self._held |= {item.id: item.fence for item in items}
        return items

    def _pause_seconds(self, waiter: Waiter) -> float:
        pace = self._pace
        ends = [self._silent_since + pace.alive_seconds, self._checked_at + pace.token_seconds]
        pause_seconds = max(0.0, min(ends) - time.monotonic())
        return min(pause_seconds, pace.full_seconds) if waiter.is_full else pause_seconds

    async def _check_token_if_due(self) -> None:
        if not self._is_past(self._checked_at, self._pace.token_seconds):
            return
        self._checked_at = time.monotonic()
        try:
            await self._check_token()
        except Unavailable:  # who cannot be asked has nothing to hand out either
            return

    @staticmethod
    def _is_past(since: float, seconds: float) -> bool:
        return time.monotonic() - since >= seconds


def _event(item: InboxItem) -> ServerSentEventMessage:
    return ServerSentEventMessage(event=EVENT, id=str(item.id), data=msgspec.json.encode(item).decode())


def _comment(text: str) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=None, comment=text)
