"""The chain of seals and what it covers, as the database has them, a piece at a time: no transaction stays open."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run
from shared.audit.chain import GREATEST, LEAST, Bounds, Position, Seal
from shared.audit.form import SealedEntry, instant_of
from shared.database.statements import Statement, load_statements

SQL = load_statements("services.gateway.audit", "sql/seals.sql")
ENTRIES = load_statements("shared.audit", "sql/entries.sql")
SEALS_AT_ONCE = 500
# Of seals read at once together: the seals keep 16 bytes of each.
SEALED_AT_ONCE = 20_000
# Hashing so many takes about 5 ms, in which nobody else is answered.
ENTRIES_AT_ONCE = 500

T = TypeVar("T")


class Read(Protocol):
    async def __call__(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T: ...


class StoredSeal(msgspec.Struct, frozen=True):
    """`upto_seq`: where its era ends, which only the last seal of the era says itself."""

    seal: Seal
    upto_seq: int

    def is_followed_by(self, other: "StoredSeal") -> bool:
        here, there = self.seal.bounds, other.seal.bounds
        return (here.era, here.end, here.era_from_seq) == (there.era, there.start, there.era_from_seq)


class Head(msgspec.Struct, frozen=True):
    """The newest seal, and where what it does not cover begins."""

    number: int
    hash: bytes
    cluster: int
    upto_xid: int
    upto_seq: int
    era_from_seq: int


class Behind(msgspec.Struct, frozen=True):
    """What no seal covers yet. `oldest_seconds` None: there is nothing."""

    cluster: int
    unsealed: int
    oldest_seconds: float | None
    from_the_future: Sequence[int]


class Chain:
    def __init__(self, read: Read, seals_at_once: int = SEALS_AT_ONCE) -> None:
        self._read = read
        self._seals_at_once = seals_at_once

    async def head(self) -> Head | None:
        rows = await self._rows(SQL["find_head"])
        return Head(**rows[0]) if rows else None

    async def hash_of(self, number: int) -> bytes | None:
        rows = await self._rows(SQL["find_hash"], number)
        found: bytes | None = rows[0]["hash"] if rows else None
        return found

    async def seals(self, first: int, last: int) -> list[StoredSeal]:
        """The next ones of them, as many as can be looked at in one go."""
        bounds = (first, last, self._seals_at_once, SEALED_AT_ONCE)
        return [_stored(row) for row in await self._rows(SQL["list_seals"], *bounds)]

    async def behind(self, head: Head | None, limit: int) -> Behind:
        place = (LEAST, LEAST, LEAST) if head is None else (head.upto_xid, head.upto_seq, head.era_from_seq)
        return Behind(**(await self._rows(SQL["look_behind"], *place, limit))[0])

    async def entries(self, first: StoredSeal, last: StoredSeal) -> AsyncIterator[SealedEntry]:
        """In the order in which seals cover them. What lies there does not become more meanwhile."""
        start: Position | None = first.seal.bounds.start
        while start is not None:
            bounds = (*start, *last.seal.bounds.end, first.seal.bounds.era_from_seq, last.upto_seq, ENTRIES_AT_ONCE)
            page = [SealedEntry(*row.values()) for row in await self._rows(ENTRIES["list_entries"], *bounds)]
            page, start = _without_torn(page)
            for entry in page:
                yield entry

    async def _rows(self, statement: Statement, *arguments: object) -> Sequence[Mapping[Any, Any]]:
        return await self._read(lambda connection: run(connection, statement, *arguments))


def _without_torn(page: list[SealedEntry]) -> tuple[list[SealedEntry], Position | None]:
    """Without those at the end that share their place with others, maybe on the next page; and where that begins."""
    if len(page) < ENTRIES_AT_ONCE:
        return page, None
    last = page[-1].position
    whole = [entry for entry in page if entry.position != last]
    return (whole, last) if whole else (page, (last[0], last[1] + 1))


def _stored(row: Mapping[Any, Any]) -> StoredSeal:
    seal = Seal(
        number=row["number"],
        bounds=Bounds(
            era=row["era"],
            cluster=row["cluster"],
            start=(row["from_xid"], row["from_seq"]),
            end=(row["upto_xid"], row["upto_seq"]),
            era_from_seq=row["era_from_seq"],
            era_upto_seq=row["era_upto_seq"],
        ),
        entries=row["entries"],
        last_seq=row["last_seq"],
        last_at=instant_of(row["last_at"]),
        previous_hash=row["previous_hash"],
        hash=row["hash"],
        marks=row["marks"],
        sealed_at=instant_of(row["sealed_at"]),
    )
    upto_seq = row["era_ends_at_seq"]
    return StoredSeal(seal, GREATEST if upto_seq is None else upto_seq)
