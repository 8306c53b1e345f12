"""Computes schedules without keeping other requests waiting."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class OneAtATime:
    """In a thread, because a page of expensive schedules takes seconds and the loop must go on answering; one thread,
    because a second one would only take from the loop's share of the interpreter. Whoever asks waits in order."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, compute: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(compute)
