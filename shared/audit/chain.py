"""PURE: seals, each of which covers a range of entries and the seal before it.

A seal covers the entries of transactions that are all over, in the order (xid, seq): from `start` on, up to and without
`end`. Nothing can be added there any more, however late a transaction committed that had drawn its numbers early.

Numbers of transactions are those of one cluster of Postgres. In another one, to which the tables were restored, they
begin elsewhere, and a new era begins: the last seal of the old era covers what was left of it, and every entry of the
new era has a greater `seq` than any of the old one."""

import hashlib
from typing import TypeAlias

import msgspec

from shared.audit.form import DIGEST_BYTES, SealedEntry, canonical, content_digest, instant_of, signed

# Forms may come after this one; which of them a seal has, its hash says.
FORM = "audit-seal-1"
LEAST, GREATEST = -(1 << 63), (1 << 63) - 1
NO_HASH = bytes(32)

Position: TypeAlias = tuple[int, int]
FIRST: Position = (LEAST, LEAST)
LAST: Position = (GREATEST, GREATEST)


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries a seal covers: `start` <= (xid, seq) < `end` and `era_from_seq` <= seq < `era_upto_seq`. The end of
    an era is known to its last seal only; None: not yet."""

    era: int
    cluster: int
    start: Position
    end: Position
    era_from_seq: int = LEAST
    era_upto_seq: int | None = None

    @property
    def is_last_of_era(self) -> bool:
        return self.era_upto_seq is not None


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """`last_seq`, `last_at`: the greatest of all entries up to here, `last_at` no later than `sealed_at`; instants in
    microseconds since 1970. `marks`: 16 bytes for each entry in its order."""

    number: int
    bounds: Bounds
    entries: int
    last_seq: int
    last_at: int
    previous_hash: bytes
    hash: bytes
    marks: bytes
    sealed_at: int


class Around(msgspec.Struct, frozen=True):
    """Where a sealer stands: no transaction below `xmin` is open any more."""

    cluster: int
    xmin: int
    now: int


class Batch:
    """Takes in entries in their order, and keeps 16 bytes of each."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._marks = bytearray()
        self.entries = 0
        self.last_seq = LEAST
        self.last_at = LEAST
        self.last: Position = FIRST

    def add(self, entry: SealedEntry) -> bytes:
        """What the seal keeps of its content."""
        digest = content_digest(entry)
        seq = signed(entry.seq)
        self._hash.update(signed(entry.xid) + seq + digest)
        self._marks += seq + digest[:DIGEST_BYTES]
        self.entries += 1
        self.last_seq = max(self.last_seq, entry.seq)
        self.last_at = max(self.last_at, instant_of(entry.at))
        self.last = entry.position
        return digest[:DIGEST_BYTES]

    @property
    def marks(self) -> bytes:
        return bytes(self._marks)

    @property
    def hash(self) -> bytes:
        return self._hash.digest()


def next_bounds(head: Seal | None, around: Around) -> Bounds:
    """What a seal after `head` covers, unless it is cut off earlier or ends its era (`is_elsewhere`)."""
    end = (around.xmin, LEAST)
    if head is None:
        return Bounds(era=1, cluster=around.cluster, start=FIRST, end=end)
    before = head.bounds
    if before.era_upto_seq is not None:
        from_seq = before.era_upto_seq
        return Bounds(era=before.era + 1, cluster=around.cluster, start=FIRST, end=end, era_from_seq=from_seq)
    return msgspec.structs.replace(before, start=before.end, end=end)


def is_elsewhere(head: Seal, around: Around) -> bool:
    """Whether the tables have come into another cluster since the last seal."""
    before = head.bounds
    return not before.is_last_of_era and (before.cluster != around.cluster or around.xmin < before.end[0])


def cut(bounds: Bounds, batch: Batch) -> Bounds:
    """So that the seal ends behind the last entry of its batch, because there was no room for more."""
    xid, seq = batch.last
    return msgspec.structs.replace(bounds, end=(xid, seq + 1))


def make_seal(before: Seal | None, bounds: Bounds, batch: Batch, sealed_at: int) -> Seal:
    """An entry that is dated ahead of its seal does not move `last_at` beyond it."""
    last_at = min(batch.last_at, sealed_at) if batch.entries else 0
    seal = Seal(
        number=1 if before is None else before.number + 1,
        bounds=bounds,
        entries=batch.entries,
        last_seq=batch.last_seq if before is None else max(before.last_seq, batch.last_seq),
        last_at=last_at if before is None else max(before.last_at, last_at),
        previous_hash=NO_HASH if before is None else before.hash,
        hash=b"",
        marks=batch.marks,
        sealed_at=sealed_at,
    )
    return msgspec.structs.replace(seal, hash=hash_of(seal, batch))


def hash_of(seal: Seal, batch: Batch) -> bytes:
    """What `seal.hash` must be when its entries are those of the batch."""
    bounds = seal.bounds
    return hashlib.sha256(
        canonical(
            [
                *(FORM, seal.previous_hash, seal.number, bounds.era, bounds.cluster, *bounds.start, *bounds.end),
                *(bounds.era_from_seq, bounds.era_upto_seq, seal.last_seq, seal.last_at, seal.sealed_at),
                *(batch.entries, batch.hash),
            ]
        )
    ).digest()
