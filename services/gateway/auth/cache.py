"""What was last read of tokens, believed for a moment."""

import time
from collections.abc import Callable

import msgspec

from services.gateway.auth.wire import StoredToken

# So long at most is a revoked token accepted when nobody tells of it: less than the second that is promised.
CACHE_SECONDS = 0.9
TOKENS_KEPT = 10_000


class Known(msgspec.Struct, frozen=True):
    """`stored` None: there is no such token. `asked_at`, `expires_at`: on the cache's own clock."""

    asked_at: float
    stored: StoredToken | None
    expires_at: float | None = None

    def is_valid(self, now: float) -> bool:
        has_time = self.expires_at is None or now < self.expires_at
        return self.stored is not None and self.stored.is_valid and has_time


class TokenCache:
    """Key ids that do not exist are kept apart: whoever tries many of them crowds out nobody who holds a token."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, kept: int = TOKENS_KEPT) -> None:
        self.now = clock
        self._kept = kept
        self._tokens: dict[str, Known] = {}
        self._unknown: dict[str, Known] = {}
        self._forgot_at = float("-inf")

    def find(self, key_id: str) -> Known | None:
        known = self._tokens.get(key_id) or self._unknown.get(key_id)
        return known if known is not None and self.now() - known.asked_at < CACHE_SECONDS else None

    def keep(self, key_id: str, asked_at: float, stored: StoredToken | None) -> Known:
        """What was asked before others were told of a change is not kept: it may be from before it."""
        seconds_left = None if stored is None else stored.seconds_left
        known = Known(asked_at, stored, None if seconds_left is None else asked_at + seconds_left)
        if asked_at > self._forgot_at:
            self._put(self._unknown if stored is None else self._tokens, key_id, known)
        return known

    def note_use(self, key_id: str, known: Known) -> None:
        """Its use is recorded. Not asked anew: a revocation must not take effect later for it."""
        if known.stored is not None and self._tokens.get(key_id) is known:
            stored = msgspec.structs.replace(known.stored, is_use_unrecorded=False)
            self._tokens[key_id] = msgspec.structs.replace(known, stored=stored)

    def forget(self) -> None:
        """Everything: tokens or agents have changed."""
        self._forgot_at = self.now()
        self._tokens.clear()
        self._unknown.clear()

    def _put(self, kept: dict[str, Known], key_id: str, known: Known) -> None:
        """At the end. What was asked longest ago stands first, and goes when there is no room."""
        kept.pop(key_id, None)
        if len(kept) >= self._kept:
            del kept[next(iter(kept))]
        kept[key_id] = known
