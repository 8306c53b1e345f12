"""Computes for one request without keeping others waiting."""

import asyncio
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from shared.vocabulary.faults import Unavailable

T = TypeVar("T")

# More would only take from the loop's share of the interpreter; with one, an agent could keep all others from theirs.
THREADS = 2
WAIT_SECONDS = 2.0


class Turns:
    """In threads, because a page of expensive schedules takes seconds and the loop must go on answering. An agent has
    one turn at a time, and those who wait get theirs in order: however much one asks, the others wait for one of it."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self._wait_seconds = wait_seconds
        self._threads = asyncio.Semaphore(THREADS)
        self._agents: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def run(self, agent_id: UUID, compute: Callable[[], T]) -> T:
        """Raises Unavailable for whoever would wait too long."""
        own = self._agents.setdefault(agent_id, asyncio.Lock())
        await self._begin(own)
        try:
            return await asyncio.to_thread(compute)
        finally:
            self._threads.release()
            own.release()

    async def _begin(self, own: asyncio.Lock) -> None:
        try:
            async with asyncio.timeout(self._wait_seconds):
                await own.acquire()
                try:
                    await self._threads.acquire()
                except asyncio.CancelledError:
                    own.release()
                    raise
        except TimeoutError:
            message = "Too much is being computed at this moment. Ask again shortly."
            raise Unavailable(message, retry_after_seconds=round(WAIT_SECONDS)) from None
