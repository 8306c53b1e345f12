"""Wakes a part when its bell rings."""

from collections.abc import Callable

import msgspec

from shared.runtime.loop import Part
from shared.streams.doorbell import Listener
from shared.vocabulary.limits import POLL_SECONDS


class Heard(msgspec.Struct, frozen=True):
    is_rung: bool
    pause_seconds: float = 0.0


class Listening(Part):
    """Its pause is the blocking read itself."""

    name = "listening"

    def __init__(self, listener: Listener, on_heard: Callable[[], None]) -> None:
        self._listener = listener
        self._on_heard = on_heard

    async def run_once(self) -> Heard:
        is_rung = await self._listener.heard(POLL_SECONDS)
        if is_rung:
            self._on_heard()
        return Heard(is_rung)

    async def stop(self) -> None:
        await self._listener.leave()
