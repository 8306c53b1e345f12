"""PURE: the one form in which entries of the audit trail are hashed. It never changes: old seals rest on it."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

SEQ_BYTES = 8
DIGEST_BYTES = 8
MARK_BYTES = SEQ_BYTES + DIGEST_BYTES
# What `timestamptz_send` counts from, in microseconds since 1970.
YEAR_2000 = 946_684_800_000_000

Value = bytes | str | int | None


class SealedEntry(NamedTuple):
    """An entry as the statements that read it for a seal give it. `at`: the 8 bytes in which Postgres sends an instant.
    Texts are as Postgres writes them, so also `details`, whose jsonb it keeps in one form."""

    xid: int
    seq: int
    at: bytes
    actor_id: str | None
    actor_name: str
    action: str
    subject_type: str
    subject_id: str
    details: str
    request_id: str | None
    trace_id: str | None

    @property
    def position(self) -> tuple[int, int]:
        return self.xid, self.seq


class Mark(NamedTuple):
    """What a seal keeps of an entry: enough to tell which one is another by now."""

    seq: int
    digest: bytes


def canonical(values: Iterable[Value]) -> bytes:
    """Each value after its length, so that no two lists of values look the same; null is like no text."""
    return b"".join([_one(value) for value in values])


def content_digest(entry: SealedEntry) -> bytes:
    """SHA-256 over all that an entry says: everything but its place."""
    return hashlib.sha256(canonical(entry[2:])).digest()


def instant_of(sent: bytes) -> int:
    """Microseconds since 1970 in UTC."""
    return int.from_bytes(sent, "big", signed=True) + YEAR_2000


def signed(number: int) -> bytes:
    return number.to_bytes(SEQ_BYTES, "big", signed=True)


def marks_in(packed: bytes) -> list[Mark]:
    whole = len(packed) - len(packed) % MARK_BYTES
    return [
        Mark(
            int.from_bytes(packed[start : start + SEQ_BYTES], "big", signed=True),
            packed[start + SEQ_BYTES : start + MARK_BYTES],
        )
        for start in range(0, whole, MARK_BYTES)
    ]


def _one(value: Value) -> bytes:
    match value:
        case None:
            return b"~"
        case str():
            encoded = value.encode()
            return b"%d:%b" % (len(encoded), encoded)
        case int():
            return b"i%d;" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
