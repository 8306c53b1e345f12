"""Hears that tokens or agents have changed at another gateway."""

import msgspec

from services.gateway.auth.service import Authenticator
from shared.runtime.loop import Part
from shared.streams.broadcast import Receiver
from shared.vocabulary.limits import POLL_SECONDS


class Heard(msgspec.Struct, frozen=True):
    has_changed: bool
    pause_seconds: float = 0.0


class TokenEar(Part):
    """Its pause is the blocking read itself. What it misses while Redis is away, the cache forgets by itself."""

    name = "token_ear"

    def __init__(self, receiver: Receiver, authenticator: Authenticator) -> None:
        self._receiver = receiver
        self._authenticator = authenticator

    async def run_once(self) -> Heard:
        has_changed = await self._receiver.heard(POLL_SECONDS)
        if has_changed:
            self._authenticator.forget()
        return Heard(has_changed)
