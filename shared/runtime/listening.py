"""Wakes a part when its bell rings, or when something is announced to all."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from shared.runtime.loop import Part
from shared.vocabulary.limits import POLL_SECONDS


class Ear(Protocol):
    """A listener of a bell, or a receiver of a broadcast."""

    async def heard(self, timeout_seconds: float) -> bool: ...

    async def leave(self) -> None: ...


class Heard(msgspec.Struct, frozen=True):
    is_rung: bool
    pause_seconds: float = 0.0


class Listening(Part):
    """Its pause is the blocking read itself."""

    name = "listening"

    def __init__(self, listener: Ear, on_heard: Callable[[], None]) -> None:
        self._listener = listener
        self._on_heard = on_heard

    async def run_once(self) -> Heard:
        is_rung = await self._listener.heard(POLL_SECONDS)
        if is_rung:
            self._on_heard()
        return Heard(is_rung)

    async def stop(self) -> None:
        await self._listener.leave()
