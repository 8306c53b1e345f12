"""Who follows a stream in this process, and how many may."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Generic, TypeVar
from uuid import UUID

from services.gateway.http.streaming import Sleeper
from shared.vocabulary.faults import TooManyRequests

STREAMS = 2000
STREAMS_PER_AGENT = 20
RETRY_AFTER_SECONDS = 5

L = TypeVar("L", bound=Sleeper)


class Places:
    """Of all streams of this process together."""

    def __init__(self, *, per_agent: int = STREAMS_PER_AGENT, in_all: int = STREAMS) -> None:
        self._per_agent = per_agent
        self._in_all = in_all
        self._taken: Counter[UUID] = Counter()

    @property
    def taken(self) -> int:
        return self._taken.total()

    def check(self, agent_id: UUID) -> None:
        """Raises TooManyRequests."""
        if self._taken.get(agent_id, 0) >= self._per_agent:
            message = f"Too many streams; at most {self._per_agent} may be open for one agent. Close one first."
        elif self._taken.total() >= self._in_all:
            message = "This gateway has as many streams open as it serves. Try again later."
        else:
            return
        raise TooManyRequests(message, error_code="too_many_streams", retry_after_seconds=RETRY_AFTER_SECONDS)

    @contextlib.contextmanager
    def take(self, agent_id: UUID) -> Iterator[None]:
        """Raises TooManyRequests."""
        self.check(agent_id)
        self._taken[agent_id] += 1
        try:
            yield
        finally:
            self._taken[agent_id] -= 1
            if not self._taken[agent_id]:
                del self._taken[agent_id]


class Audience(Generic[L]):
    """Those who follow the same thing."""

    def __init__(self) -> None:
        self._listeners: dict[L, None] = {}
        self._is_somebody_there = asyncio.Event()
        self._is_closed = False

    def __iter__(self) -> Iterator[L]:
        return iter([*self._listeners])

    def __len__(self) -> int:
        return len(self._listeners)

    async def gathered(self) -> None:
        """Return as soon as anybody is there."""
        await self._is_somebody_there.wait()

    @contextlib.contextmanager
    def enter(self, listener: L) -> Iterator[None]:
        self._listeners[listener] = None
        self._is_somebody_there.set()
        if self._is_closed:
            listener.end()
        try:
            yield
        finally:
            del self._listeners[listener]
            if not self._listeners:
                self._is_somebody_there.clear()

    def close(self) -> None:
        """Nobody follows any longer, now or later."""
        self._is_closed = True
        for listener in self:
            listener.end()
