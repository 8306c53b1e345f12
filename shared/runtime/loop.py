"""How every long-lived part runs: `run_once` does one round and says how long to pause; the loop holds no logic."""

import asyncio
import contextlib
import signal
from abc import ABC, abstractmethod
from typing import Protocol

import structlog

from shared.database.faults import is_transient

logger = structlog.get_logger(__name__)

PAUSE_AFTER_FAILURE_SECONDS = 1.0
CANCEL_AGAIN_SECONDS = 0.5


class Round(Protocol):
    """What one round did. `pause_seconds`: 0 when there is more to do at once."""

    @property
    def pause_seconds(self) -> float: ...


class Part(ABC):
    """settings → constructor → start → run_once → stop."""

    name: str
    # How long a stop waits for a round that must not be cut short.
    finish_seconds = 0.0

    async def start(self) -> None:  # noqa: B027 (most parts have nothing to start)
        """What has to be done once before the first round."""

    @abstractmethod
    async def run_once(self) -> Round:
        """One round."""

    async def stop(self) -> None:  # noqa: B027 (most parts have nothing to stop)
        """What has to be done once after the last round; it may have been interrupted."""


class Running:
    """One part in its loop. `wake` ends its pause early."""

    def __init__(self, part: Part) -> None:
        self._part = part
        self._is_woken = asyncio.Event()
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._part.start()
        self._task = asyncio.create_task(self._loop(), name=self._part.name)
        self._task.add_done_callback(self._end_process_if_unasked)

    def wake(self) -> None:
        self._is_woken.set()

    async def stop(self) -> None:
        """Cancelled again until it ends: on Python 3.11 `wait_for`, which libraries use, can swallow a cancellation."""
        self._is_stopping = True
        self.wake()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=self._part.finish_seconds)
            while not self._task.done():
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=CANCEL_AGAIN_SECONDS)
        await self._part.stop()

    async def _loop(self) -> None:
        while not self._is_stopping:
            pause_seconds = await self._supervised()
            if pause_seconds > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause_seconds):
                        await self._is_woken.wait()
            self._is_woken.clear()

    async def _supervised(self) -> float:
        try:
            return (await self._part.run_once()).pause_seconds
        except Exception as error:  # the supervisor: a part that fails is logged once and tried again
            if is_transient(error):
                logger.warning("database_away", part=self._part.name, error=repr(error))
            else:
                logger.exception("round_failed", part=self._part.name)
            return PAUSE_AFTER_FAILURE_SECONDS

    def _end_process_if_unasked(self, task: asyncio.Task[None]) -> None:
        """A service that lacks one of its parts must not look alive: whoever started it starts it anew."""
        if not self._is_stopping:
            logger.critical(
                "part_ended", part=self._part.name, reason=repr(None if task.cancelled() else task.exception())
            )
            signal.raise_signal(signal.SIGTERM)


async def until_stopped() -> None:
    """Return at SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
