"""The form in which entries are hashed never changes: these hashes are those of seals that exist."""

from shared.audit.chain import FIRST, LEAST, Around, Batch, Bounds, Seal, hash_of, is_elsewhere, make_seal, next_bounds
from shared.audit.form import MARK_BYTES, Mark, SealedEntry, Value, canonical, content_digest, instant_of, marks_in

AT = bytes(6) + b"\x01\x02"
ENTRY = SealedEntry(7, 3, AT, None, "ä", "task.created", "task", "1", '{"a": 1}', "r", None)


def bounds(era: int = 1, cluster: int = 5) -> Bounds:
    return Bounds(era=era, cluster=cluster, start=FIRST, end=(9, LEAST))


def sealed(*entries: SealedEntry) -> tuple[Seal, Batch]:
    batch = Batch()
    for entry in entries:
        batch.add(entry)
    return make_seal(None, bounds(), batch, 1_700_000_000_000_000), batch


def test_an_entry_has_the_digest_that_it_always_had() -> None:
    assert content_digest(ENTRY).hex() == "9cf251ead524180218dae1d363b2ceca1e1d29c3d54485a097fa4fee55c84f71"


def test_a_seal_has_the_hash_that_it_always_had() -> None:
    seal, batch = sealed(ENTRY, ENTRY._replace(seq=4, subject_id="2"))
    assert seal.hash.hex() == "3372ddbbdc3beb63dcccbb3a75e115634aeb04625b8608b004bbea95375fc301"
    assert hash_of(seal, batch) == seal.hash


def test_no_two_lists_of_values_look_the_same() -> None:
    lists: list[list[Value]] = [
        ["a", "b"],
        ["ab"],
        ["a", None, "b"],
        ["ab", ""],
        ["ab", None],
        ["1:a"],
        [1],
        ["1"],
        ["i1;"],
        [-1],
        [],
    ]
    assert len({canonical(values) for values in lists}) == len(lists)


def test_the_order_and_the_place_of_entries_count() -> None:
    other = ENTRY._replace(seq=4, subject_id="2")
    seals = [sealed(ENTRY, other), sealed(other, ENTRY), sealed(ENTRY), sealed(ENTRY._replace(xid=8), other)]
    assert len({seal.hash for seal, _ in seals}) == 4


def test_a_seal_keeps_sixteen_bytes_of_each_entry() -> None:
    seal, _ = sealed(ENTRY, ENTRY._replace(seq=-4))
    assert len(seal.marks) == 2 * MARK_BYTES
    assert marks_in(seal.marks) == [Mark(3, content_digest(ENTRY)[:8]), Mark(-4, content_digest(ENTRY)[:8])]


def test_an_entry_that_is_dated_ahead_does_not_move_the_last_instant_beyond_the_seal() -> None:
    seal, _ = sealed(ENTRY._replace(at=b"\x7f" + b"\xff" * 7))
    assert seal.last_at == seal.sealed_at
    assert instant_of(AT) == 946_684_800_000_000 + 0x0102


def test_a_seal_begins_where_the_one_before_it_ends() -> None:
    seal, _ = sealed(ENTRY)
    here = Around(cluster=5, xmin=20, now=0)
    assert not is_elsewhere(seal, here)
    following = next_bounds(seal, here)
    assert (following.start, following.end) == (seal.bounds.end, (20, LEAST))


def test_another_cluster_and_a_number_that_went_back_are_elsewhere() -> None:
    seal, _ = sealed(ENTRY)
    assert is_elsewhere(seal, Around(cluster=6, xmin=20, now=0))
    assert is_elsewhere(seal, Around(cluster=5, xmin=8, now=0))
