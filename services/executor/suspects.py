"""Work whose last start never came to an end begins alone, so that it cannot take its neighbours with it again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# Whatever kills an executor mostly does so at once; what was lost beside it should not wait long for its turn.
WATCH_SECONDS = 0.5


class Lane:
    """One enters at a time; the next may when it has left, or has lived for WATCH_SECONDS."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        await self._free.acquire()
        release = Release(self._free)
        timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, release)
        try:
            yield
        finally:
            timer.cancel()
            release()


class Release:
    """Once, however often it is called."""

    def __init__(self, lock: asyncio.Lock) -> None:
        self._lock = lock
        self._is_done = False

    def __call__(self) -> None:
        if not self._is_done:
            self._is_done = True
            self._lock.release()
