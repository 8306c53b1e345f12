"""A delay that spreads tasks out: the same for an occurrence whenever it is asked for."""

import hashlib
from datetime import timedelta

STEPS = 2**64


def jitter(occurrence_key: bytes, jitter_seconds: int, gap_to_next: timedelta | None) -> timedelta:
    """0 <= delay <= jitter_seconds in milliseconds, and less than the gap to the next nominal occurrence."""
    widest = max(0, jitter_seconds) * 1000
    if gap_to_next is not None:
        widest = max(0, min(widest, -(gap_to_next // timedelta(milliseconds=-1)) - 1))
    share = int.from_bytes(hashlib.sha256(occurrence_key).digest()[:8])
    return timedelta(milliseconds=share * (widest + 1) // STEPS)
