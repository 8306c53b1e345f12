"""PURE: keys as operators give them: base64 of 32 random bytes each."""

import base64
import binascii
import itertools

KEY_BYTES = 32
# Of 32 random bytes about 30 differ; fewer than this do once in 10^18 keys.
DISTINCT_MIN = 16


class KeyFault(Exception):
    """A key that cannot be used. The sentence quotes nothing of it."""


def parse_key(text: str) -> bytes:
    """Standard or URL-safe base64, padded. Refuses what was not made by a random generator as far as one can see."""
    try:
        key = base64.b64decode(text.strip().translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        raise KeyFault("is not base64; make one with: openssl rand -base64 32") from None
    if len(key) != KEY_BYTES:
        raise KeyFault(f"has {len(key)} bytes and needs {KEY_BYTES}; make one with: openssl rand -base64 32")
    if _is_example(key):
        raise KeyFault("is not random; make one with: openssl rand -base64 32")
    return key


def _is_example(key: bytes) -> bool:
    """Zeros, a repetition, a count, or text, which a random key is once in 10^13."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    is_text = key.isascii() and key.decode().isprintable()
    return len(set(key)) < DISTINCT_MIN or len(steps) == 1 or is_text
