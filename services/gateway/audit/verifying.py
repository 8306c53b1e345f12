"""Verifies the audit trail: every seal, every entry, what comes behind them, and what the caller remembers."""

import asyncio
import time
from collections.abc import Iterable, Iterator

import msgspec

from services.gateway.audit.chain import Behind, Chain, Head, StoredSeal
from services.gateway.audit.walk import LONGEST_TRANSACTION_SECONDS, Walk
from services.gateway.audit.wire import ChainHead, FaultKind, Verification
from shared.vocabulary.limits import TOTAL_MAX

# After so long the caller is told where to go on.
VERIFY_SECONDS = 20.0


class Known(msgspec.Struct, frozen=True):
    """A seal that the caller has seen, with its hash."""

    seal: int
    hash: bytes


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which seals are looked at. `to_seal` None: up to the newest, and what comes behind it."""

    from_seal: int = 1
    to_seal: int | None = None
    known: Known | None = None


async def verify(chain: Chain, wanted: Wanted, seconds: float = VERIFY_SECONDS) -> Verification:
    """In the order in which it is looked at; seals that are made meanwhile come too late."""
    head = await chain.head()
    newest = 0 if head is None else head.number
    before = await chain.seals(wanted.from_seal - 1, wanted.from_seal - 1) if wanted.from_seal > 1 else []
    walk = Walk(before[0].seal if before else None)
    await _look_for_known(chain, walk, wanted.known, newest)
    next_seal = await _go(chain, walk, wanted, newest, time.monotonic() + seconds)
    # By now there may be a newer one.
    now_head = await chain.head()
    behind = await chain.behind(now_head, TOTAL_MAX)
    if next_seal is None and wanted.to_seal is None:
        _look_behind(walk, now_head, behind)
    return Verification(
        is_valid=not walk.faults,
        seals=walk.seals,
        entries=walk.entries,
        unsealed=behind.unsealed,
        head=None if head is None else ChainHead(head.number, head.hash.hex()),
        faults=walk.faults,
        is_faults_capped=walk.is_faults_capped,
        next_seal=next_seal,
    )


async def _go(chain: Chain, walk: Walk, wanted: Wanted, newest: int, until: float) -> int | None:
    """Where to go on, if the time did not suffice."""
    first, last = wanted.from_seal, newest if wanted.to_seal is None else min(wanted.to_seal, newest)
    while first <= last:
        seals = await chain.seals(first, last)
        if not seals:
            return None
        for group in _joined(seals):
            await _look_at(chain, walk, group, newest)
        first = seals[-1].seal.number + 1
        if time.monotonic() > until and first <= last:
            return first
    return None


async def _look_at(chain: Chain, walk: Walk, seals: list[StoredSeal], newest: int) -> None:
    entries = chain.entries(seals[0], seals[-1])
    entry = await anext(entries, None)
    for stored in seals:
        walk.begin(stored.seal)
        while entry is not None and entry.position < stored.seal.bounds.end:
            walk.add(entry)
            entry = await anext(entries, None)
        walk.end(is_head=stored.seal.number == newest)
        # Also where a thousand seals have no entries left.
        await asyncio.sleep(0)


def _joined(seals: Iterable[StoredSeal]) -> Iterator[list[StoredSeal]]:
    """Seals whose ranges follow one upon the other, so that their entries are read in one go."""
    group: list[StoredSeal] = []
    for stored in seals:
        if group and not group[-1].is_followed_by(stored):
            yield group
            group = []
        group.append(stored)
    if group:
        yield group


async def _look_for_known(chain: Chain, walk: Walk, known: Known | None, newest: int) -> None:
    if known is None:
        return
    found = await chain.hash_of(known.seal)
    if found == known.hash:
        return
    if found is None and known.seal > newest:
        message = f"The chain ends at seal {newest}, and yet you know a later one: its end was cut off."
        walk.tell(FaultKind.TRUNCATED, known.seal, None, message)
    elif found is None:
        walk.tell(FaultKind.DELETED, known.seal, None, "The seal that you know is gone.")
    else:
        message = "The seal has another hash than the one that you know: the chain was written anew."
        walk.tell(FaultKind.CHANGED, known.seal, None, message)


def _look_behind(walk: Walk, head: Head | None, behind: Behind) -> None:
    if head is not None and head.cluster == behind.cluster:
        for seq in behind.from_the_future:
            message = "It claims to be of a transaction that was never begun."
            walk.tell(FaultKind.INSERTED, None, seq, message)
    if behind.oldest_seconds is not None and behind.oldest_seconds > LONGEST_TRANSACTION_SECONDS:
        message = (
            f"Entries wait for their seal since {behind.oldest_seconds:.0f} s: no scheduler runs, a transaction of the "
            "database server does not end, or a seal was taken away."
        )
        walk.tell(FaultKind.SEALER_BEHIND, None, None, message)
