"""Seals the audit trail: every half second, what is certain to be complete becomes one more link of the hash chain.
Writers know nothing of it and wait for nobody."""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
import msgspec
import structlog

from shared.audit.chain import (
    GREATEST,
    LAST,
    Around,
    Batch,
    Bounds,
    Seal,
    cut,
    is_elsewhere,
    make_seal,
    next_bounds,
)
from shared.audit.form import SealedEntry
from shared.database.pool import Connection
from shared.database.statements import load_statements
from shared.runtime.loop import Part
from shared.vocabulary.ids import EPOCH

logger = structlog.get_logger(__name__)

SQL = load_statements("services.scheduler", "sql/seals.sql")
ENTRIES = load_statements("shared.audit", "sql/entries.sql")
BATCH = 10_000
PAUSE_SECONDS = 0.5
# Any number, as long as every sealer uses the same.
TURN = 0x70616F03
# Hashing so many takes about 2 ms, in which no bell is rung.
AT_ONCE = 200
MICROSECOND = timedelta(microseconds=1)


class Sealed(msgspec.Struct, frozen=True):
    """`number` None: there was nothing to seal, or another scheduler was at it."""

    entries: int = 0
    number: int | None = None
    is_full: bool = False

    @property
    def pause_seconds(self) -> float:
        return 0.0 if self.is_full else PAUSE_SECONDS


class Sealer(Part):
    """Any number of replicas. Each remembers the newest seal that it has seen, and complains when that is gone."""

    name = "sealer"

    def __init__(self, pool: asyncpg.Pool, batch: int = BATCH) -> None:
        self._pool = pool
        self._batch = batch
        self._seen: tuple[int, bytes] | None = None

    async def run_once(self, now: datetime | None = None) -> Sealed:
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(SQL["take_turn"].sql, TURN):
                return Sealed()
            head = await _find_head(connection)
            await self._check_chain(connection, head)
            seal = await self._next_seal(connection, head, await _look_around(connection, now))
            if seal is not None:
                await connection.execute(SQL["insert_seal"].sql, *columns_of(seal))
        return self._told(seal, head)

    async def _next_seal(self, connection: Connection, head: Seal | None, around: Around) -> Seal | None:
        """None where there is nothing to seal."""
        bounds, limit = next_bounds(head, around), self._batch
        if head is None or is_elsewhere(head, around):
            upto = await _end_of_era(connection, head)
            if upto is not None:
                bounds, limit = msgspec.structs.replace(bounds, end=LAST, era_upto_seq=upto), GREATEST
                logger.warning("audit_era_ended", era=bounds.era, seq=upto)
        batch = await take_in(connection, bounds, limit)
        if not batch.entries and not bounds.is_last_of_era:
            return None
        return make_seal(head, cut(bounds, batch) if batch.entries == limit else bounds, batch, around.now)

    async def _check_chain(self, connection: Connection, head: Seal | None) -> None:
        """What a sealer saw once can be taken away with the entries; then only who remembers it knows."""
        if self._seen is None:
            return
        number, seal_hash = self._seen
        if await connection.fetchval(SQL["find_hash"].sql, number) != seal_hash:
            newest = None if head is None else head.number
            logger.error("audit_chain_broken", seal=number, hash=seal_hash.hex(), newest_seal=newest)

    def _told(self, seal: Seal | None, head: Seal | None) -> Sealed:
        """The line in the log is the anchor of the chain outside of the database."""
        newest = seal or head
        self._seen = None if newest is None else (newest.number, newest.hash)
        if seal is None:
            return Sealed()
        logger.info("audit_sealed", seal=seal.number, hash=seal.hash.hex(), entries=seal.entries)
        return Sealed(seal.entries, seal.number, seal.bounds.is_last_of_era or seal.entries == self._batch)


async def _look_around(connection: Connection, now: datetime | None) -> Around:
    (row,) = await connection.fetch(SQL["look_around"].sql, now)
    return Around(row["cluster"], row["xmin"], _microseconds(row["now"]))


async def _find_head(connection: Connection) -> Seal | None:
    row = await connection.fetchrow(SQL["find_head"].sql)
    if row is None:
        return None
    return Seal(
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
        last_at=_microseconds(row["last_at"]),
        previous_hash=row["previous_hash"],
        hash=row["hash"],
        marks=b"",
        sealed_at=_microseconds(row["sealed_at"]),
    )


async def _end_of_era(connection: Connection, head: Seal | None) -> int | None:
    """Behind the greatest `seq` that is certain to come from elsewhere: the numbers that are drawn here are greater.
    None for a first era that is not over."""
    last: int | None = await connection.fetchval(SQL["find_last_from_elsewhere"].sql)
    known = [seq for seq in (last, None if head is None else head.last_seq) if seq is not None]
    return max(known) + 1 if known else None


async def take_in(connection: Connection, bounds: Bounds, limit: int) -> Batch:
    batch = Batch()
    upto = GREATEST if bounds.era_upto_seq is None else bounds.era_upto_seq
    arguments = (*bounds.start, *bounds.end, bounds.era_from_seq, upto, limit)
    async for row in connection.cursor(ENTRIES["list_entries"].sql, *arguments, prefetch=AT_ONCE):
        batch.add(SealedEntry(*row))
    return batch


def columns_of(seal: Seal) -> tuple[Any, ...]:
    bounds = seal.bounds
    return (
        *(seal.number, bounds.era, bounds.cluster, *bounds.start, *bounds.end),
        *(bounds.era_from_seq, bounds.era_upto_seq, seal.entries, seal.last_seq, _instant(seal.last_at)),
        *(seal.previous_hash, seal.hash, seal.marks, _instant(seal.sealed_at)),
    )


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def _instant(microseconds: int) -> datetime:
    return EPOCH + timedelta(microseconds=microseconds)
