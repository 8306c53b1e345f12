"""What the streams have in common: their places, their keep-alive, and their end."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import UUID

from services.gateway.auth.service import Authenticator, unauthenticated
from services.gateway.auth.wire import Identity
from services.gateway.http.streaming import Pace, Sleeper, Upkeep, comment
from services.gateway.live.audience import Places
from shared.vocabulary.faults import TooManyRequests, Unauthenticated, Unavailable
from shared.vocabulary.scopes import Scope

RETRY_MS = 2000
DATABASE_AWAY_SECONDS = 1.0


class Follower(ABC):
    """What one client is told, and where it stands."""

    listener: Sleeper

    @abstractmethod
    def entered(self) -> contextlib.AbstractAsyncContextManager[None]:
        """From then on nothing is missed. Raises Unavailable."""

    @property
    @abstractmethod
    def position(self) -> str | None:
        """From where a client may go on."""

    @property
    @abstractmethod
    def has_more(self) -> bool:
        """Whether there is something to tell at once."""

    @abstractmethod
    def news(self) -> AsyncIterator[bytes]:
        """What is to be told next, as far as it is known."""


class LiveStreams:
    """Opens streams."""

    pace = Pace()

    def __init__(self, places: Places, authenticator: Authenticator) -> None:
        self._places = places
        self._authenticator = authenticator

    def check_room(self, agent_id: UUID) -> None:
        """Raises TooManyRequests."""
        self._places.check(agent_id)

    async def open(self, caller: Identity, token: str, scope: Scope, follower: Follower) -> AsyncIterator[bytes]:
        upkeep = Upkeep(self._entitlement(caller, token, scope), self.pace)
        try:
            with self._places.take(caller.agent_id):
                async with follower.entered():
                    async for event in _until_over(follower, upkeep):
                        upkeep.spoke()
                        yield event
        except (TooManyRequests, Unauthenticated, Unavailable):
            return

    def _entitlement(self, caller: Identity, token: str, scope: Scope) -> Callable[[], Awaitable[None]]:
        """Whether the token still opens what it opened."""

        async def check() -> None:
            identity = await self._authenticator.identify(token)
            if not identity.holds(scope) or identity.owner_filter != caller.owner_filter:
                raise unauthenticated()

        return check


async def _until_over(follower: Follower, upkeep: Upkeep) -> AsyncIterator[bytes]:
    listener = follower.listener
    # Said at once, so that the client knows that it listens.
    yield comment("listening", follower.position, RETRY_MS)
    while not listener.is_over:
        try:
            async for event in follower.news():
                yield event
                if follower.listener.is_over:
                    return
        except Unavailable:
            await listener.woken(DATABASE_AWAY_SECONDS)
        if not follower.has_more:
            await listener.woken(upkeep.pause_seconds())
        if upkeep.is_silent:
            yield comment("alive", follower.position)
        await upkeep.check_token_if_due()
