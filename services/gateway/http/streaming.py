"""Server-sent events: how they are written, and what every stream does however little it has to say."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from litestar.connection import Request
from litestar.response import Stream

from shared.vocabulary.faults import Unavailable

EVENT_STREAM = "text/event-stream"
# So that no proxy keeps events back.
HEADERS = {"X-Accel-Buffering": "no"}


class Pace(msgspec.Struct, frozen=True):
    """How long a stream is silent at most, and how often its token is looked at."""

    alive_seconds: float = 15.0
    token_seconds: float = 60.0


class Sleeper:
    """One client that waits. `is_over`: it is to look no more."""

    def __init__(self) -> None:
        self.is_over = False
        self.is_woken = asyncio.Event()

    def wake(self) -> None:
        self.is_woken.set()

    def end(self) -> None:
        self.is_over = True
        self.is_woken.set()

    async def woken(self, timeout_seconds: float) -> None:
        """Return when woken, or when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.is_woken.wait()
        if not self.is_over:
            self.is_woken.clear()


class Upkeep:
    """When a stream has been silent for too long, and when its token is to be looked at again."""

    def __init__(self, check_token: Callable[[], Awaitable[object]], pace: Pace) -> None:
        self._check_token = check_token
        self._pace = pace
        self._silent_since = self._checked_at = time.monotonic()

    def spoke(self) -> None:
        self._silent_since = time.monotonic()

    @property
    def is_silent(self) -> bool:
        return _is_past(self._silent_since, self._pace.alive_seconds)

    def pause_seconds(self) -> float:
        """How long it may wait."""
        ends = [self._silent_since + self._pace.alive_seconds, self._checked_at + self._pace.token_seconds]
        return max(0.0, min(ends) - time.monotonic())

    async def check_token_if_due(self) -> None:
        """Raises Unauthenticated. Who cannot be asked has nothing to hand out either."""
        if not _is_past(self._checked_at, self._pace.token_seconds):
            return
        self._checked_at = time.monotonic()
        with contextlib.suppress(Unavailable):
            await self._check_token()


def token_of(request: Request[Any, Any, Any]) -> str:
    """Of a request that was let in."""
    return request.headers["authorization"].partition(" ")[2].strip()


def stream_of(messages: AsyncIterator[bytes]) -> Stream:
    return Stream(messages, media_type=EVENT_STREAM, headers=HEADERS)


def message(event: str, data: bytes, position: str | None = None) -> bytes:
    """`data` is JSON, which has no line breaks. `position`: with what a client may go on after it."""
    return b"%bevent: %b\ndata: %b\n\n" % (_id(position), event.encode(), data)


def comment(text: str, position: str | None = None, retry_ms: int | None = None) -> bytes:
    """What no client shows. A position that comes with it counts all the same."""
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return b": %b\n%b%b\n" % (text.encode(), _id(position), retry)


def _id(position: str | None) -> bytes:
    return b"" if position is None else b"id: %b\n" % position.encode()


def _is_past(since: float, seconds: float) -> bool:
    return time.monotonic() - since >= seconds
