"""PURE: what is wrong with a chain of seals and the entries that they cover."""

from collections import deque
from collections.abc import Iterator

from services.gateway.audit.wire import ChainFault, FaultKind
from shared.audit.chain import FIRST, LEAST, NO_HASH, Batch, Seal, hash_of
from shared.audit.form import Mark, SealedEntry, instant_of, marks_in

# No transaction lasts longer: its statements and its pauses are bounded (shared/database/pool.py). Small steps of the
# database's clock lie within it, too.
LONGEST_TRANSACTION_SECONDS = 60
LONGEST_TRANSACTION = LONGEST_TRANSACTION_SECONDS * 1_000_000
FAULTS_MAX = 1000
# Of so many entries before it is known whether an entry repeats one of them.
SEQS_KEPT = 100_000


class Walk:
    """Goes along the chain: `begin` a seal, `add` its entries in their order, `end` it. Holds no more than one seal's
    entries, and the numbers of those just before."""

    def __init__(self, before: Seal | None = None) -> None:
        """`before`: the seal in front of the first one, which is taken as it is."""
        self._before = before
        self._seal: Seal | None = None
        self._batch = Batch()
        self._found: list[Mark] = []
        self._numbers = Numbers()
        self.faults: list[ChainFault] = []
        self.is_faults_capped = False
        self.seals = 0
        self.entries = 0

    def begin(self, seal: Seal) -> None:
        for message, kind in _links(self._before, seal):
            self.tell(kind, seal.number, None, message)
        if self._before is not None:
            self._numbers.pass_by(self._before.last_at - 2 * LONGEST_TRANSACTION)
        self._seal, self._batch, self._found = seal, Batch(), []

    def add(self, entry: SealedEntry) -> None:
        seal = self._current()
        self._found.append(Mark(entry.seq, self._batch.add(entry)))
        message = self._misplaced(seal, entry)
        if message is not None:
            self.tell(FaultKind.INSERTED, seal.number, entry.seq, message)

    def end(self, *, is_head: bool) -> None:
        """`is_head`: no seal follows."""
        seal, known = self._current(), len(self.faults)
        if hash_of(seal, self._batch) != seal.hash:
            for kind, seq, message in _differences(seal, marks_in(seal.marks), self._found, is_head=is_head):
                self.tell(kind, seal.number, seq, message)
            if len(self.faults) == known:
                message = "The seal does not fit its entries, and each of them is as it was: the seal was changed."
                self.tell(FaultKind.CHANGED, seal.number, None, message)
        elif (self._batch.marks, self._batch.entries) != (seal.marks, seal.entries):
            self.tell(FaultKind.CHANGED, seal.number, None, "What the seal keeps of its entries was changed.")
        self.seals += 1
        self.entries += self._batch.entries
        self._numbers.sealed(seal.sealed_at, seal.last_seq)
        self._before, self._seal = seal, None

    def tell(self, kind: FaultKind, seal: int | None, seq: int | None, message: str) -> None:
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(ChainFault(kind, seal, seq, message))
        else:
            self.is_faults_capped = True

    def _current(self) -> Seal:
        if self._seal is None:
            raise RuntimeError("no seal was begun")
        return self._seal

    def _misplaced(self, seal: Seal, entry: SealedEntry) -> str | None:
        """Why the entry cannot have been written when it says so, at the place where it is."""
        at = instant_of(entry.at)
        is_new = self._numbers.is_new(entry.seq)
        if self._before is not None and at < self._before.last_at - LONGEST_TRANSACTION:
            return "It is dated long before others that were written earlier."
        if at > seal.sealed_at + LONGEST_TRANSACTION:
            return "It is dated long after its own seal."
        if not is_new:
            return "There is another entry with its number."
        if entry.seq <= self._numbers.drawn:
            return "Its number had been drawn long before it was written."
        return None


class Numbers:
    """What is known of `seq`: every one up to `drawn` was drawn so long ago that no entry can come with it any more."""

    def __init__(self) -> None:
        self.drawn = LEAST
        self._sealed: deque[tuple[int, int]] = deque()
        self._seen: set[int] = set()
        self._order: deque[int] = deque()

    def sealed(self, sealed_at: int, last_seq: int) -> None:
        self._sealed.append((sealed_at, last_seq))

    def pass_by(self, instant: int) -> None:
        """No entry that is told of from here on was begun before this."""
        while self._sealed and self._sealed[0][0] <= instant:
            self.drawn = max(self.drawn, self._sealed.popleft()[1])

    def is_new(self, seq: int) -> bool:
        """As far as is remembered."""
        if seq in self._seen:
            return False
        self._seen.add(seq)
        self._order.append(seq)
        if len(self._order) > SEQS_KEPT:
            self._seen.discard(self._order.popleft())
        return True


def _links(before: Seal | None, seal: Seal) -> Iterator[tuple[str, FaultKind]]:
    """What is wrong between two seals."""
    if before is None:
        if seal.number != 1:
            yield f"The chain begins here: the seals before {seal.number} are gone.", FaultKind.TRUNCATED
        elif seal.previous_hash != NO_HASH or seal.bounds.start != FIRST:
            yield "It is the first seal, and yet names one before it.", FaultKind.CHANGED
        return
    if seal.number != before.number + 1:
        gone = f"{before.number + 1} to {seal.number - 1}" if seal.number - before.number > 2 else str(seal.number - 1)
        yield f"The seals before this one are gone: {gone}.", FaultKind.DELETED
    elif seal.previous_hash != before.hash:
        yield f"It was made upon another seal {before.number} than there is now.", FaultKind.CHANGED
    elif not _joins(before, seal):
        yield f"It does not begin where seal {before.number} ends.", FaultKind.CHANGED


def _joins(before: Seal, seal: Seal) -> bool:
    left, right = before.bounds, seal.bounds
    if left.era_upto_seq is None:
        return (right.era, right.start, right.era_from_seq) == (left.era, left.end, left.era_from_seq)
    return (right.era, right.start, right.era_from_seq) == (left.era + 1, FIRST, left.era_upto_seq)


Difference = tuple[FaultKind, int | None, str]


def _differences(seal: Seal, kept: list[Mark], found: list[Mark], *, is_head: bool) -> Iterator[Difference]:
    """Between the entries that were sealed and those that are there, by their marks."""
    if kept and not found:
        yield FaultKind.TRUNCATED, None, f"All {len(kept)} entries of the seal are gone."
        return
    was, is_now = dict(kept), dict(found)
    gone = [mark.seq for mark in kept if mark.seq not in is_now]
    kind = FaultKind.TRUNCATED if _is_cut(seal, kept, gone, is_head=is_head) else FaultKind.DELETED
    for seq in gone:
        yield kind, seq, "The entry is gone."
    for mark in found:
        if mark.seq not in was:
            yield FaultKind.INSERTED, mark.seq, "The entry was not there when this was sealed."
    if len(found) > len(is_now):
        repeated = sorted({mark.seq for mark in found if mark.digest != is_now[mark.seq]})
        for seq in repeated:
            yield FaultKind.INSERTED, seq, "There are several entries with this number."
    altered = [seq for seq, digest in was.items() if seq in is_now and is_now[seq] != digest]
    yield from _altered(altered, was, is_now)


def _altered(altered: list[int], was: dict[int, bytes], is_now: dict[int, bytes]) -> Iterator[Difference]:
    former = {was[seq]: seq for seq in altered}
    for seq in altered:
        other = former.get(is_now[seq])
        if other is None:
            yield FaultKind.CHANGED, seq, "The entry says something else than when it was sealed."
        else:
            yield FaultKind.SWAPPED, seq, f"The entry says what entry {other} said when they were sealed."


def _is_cut(seal: Seal, kept: list[Mark], gone: list[int], *, is_head: bool) -> bool:
    """Whether what is gone is the newest part of the chain, or its oldest."""
    order = [mark.seq for mark in kept]
    return (is_head and order[-len(gone) :] == gone) or (seal.number == 1 and order[: len(gone)] == gone)
