"""Collects what many jobs want written for some milliseconds, and has it written together."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

logger = structlog.get_logger(__name__)

PAUSE_AFTER_FAILURE_SECONDS = 1.0

T = TypeVar("T")


class Batches(Generic[T]):
    """`write` is given up to `size` items at a time, in the order in which they came. What it raises is logged, and the
    items wait: nothing is given up while the process lives. `last_words_seconds`: how long a stop waits for a database
    that is away; None for as long as it takes."""

    def __init__(
        self,
        write: Callable[[list[T]], Awaitable[None]],
        *,
        name: str,
        collect_seconds: float,
        size: int,
        last_words_seconds: float | None = None,
    ) -> None:
        self._write = write
        self._name = name
        self._collect_seconds = collect_seconds
        self._size = size
        self._last_words_seconds = last_words_seconds
        self._waiting: list[T] = []
        self._in_flight = 0
        self._is_something_waiting = asyncio.Event()
        self._is_full = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Items not yet written."""
        return len(self._waiting) + self._in_flight

    async def start(self) -> None:
        self._task = asyncio.create_task(self._loop(), name=self._name)

    async def stop(self) -> None:
        """Write what is waiting, then end."""
        self._is_closing = True
        self._is_something_waiting.set()
        self._is_full.set()
        if self._task is None:
            return
        await asyncio.wait({self._task}, timeout=self._last_words_seconds)
        if not self._task.done():
            logger.warning("batch_given_up", batches=self._name, items=self.waiting)
            self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def add(self, item: T) -> None:
        self._waiting.append(item)
        self._is_something_waiting.set()
        if len(self._waiting) >= self._size:
            self._is_full.set()

    async def _loop(self) -> None:
        while self._waiting or not self._is_closing:
            await self._is_something_waiting.wait()
            await self._collect()
            batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
            if not self._waiting and not self._is_closing:
                self._is_something_waiting.clear()
                self._is_full.clear()
            if batch:
                self._in_flight = len(batch)
                await self._supervised(batch)
                self._in_flight = 0

    async def _collect(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._collect_seconds):
                await self._is_full.wait()

    async def _supervised(self, batch: list[T]) -> None:
        try:
            await self._write(batch)
        except Exception:  # the supervisor: what could not be written waits, and is not lost
            logger.exception("batch_waits", batches=self._name, items=len(batch))
            self._waiting = batch + self._waiting
            self._is_something_waiting.set()
            await asyncio.sleep(PAUSE_AFTER_FAILURE_SECONDS)
