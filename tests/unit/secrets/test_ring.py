import os
from uuid import uuid4

import msgspec
import pytest

from shared.secrets.ring import Forged, KeyRing, Place, Sealed, UnknownKey, key_id_of

PLACE = Place(uuid4(), "api_key", 1)
VALUE = "s3cret ✓ \n" * 3


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(os.urandom(32))


def test_what_was_sealed_can_be_opened_in_its_place(ring: KeyRing) -> None:
    sealed = ring.seal(PLACE, VALUE)
    assert ring.open(PLACE, sealed) == VALUE
    assert VALUE.encode() not in sealed.ciphertext
    assert (len(sealed.nonce), len(sealed.ciphertext)) == (12, len(VALUE.encode()) + 16)


@pytest.mark.parametrize(
    "elsewhere",
    [
        Place(uuid4(), PLACE.name, PLACE.version),
        Place(PLACE.agent_id, "api_key2", PLACE.version),
        Place(PLACE.agent_id, PLACE.name, 2),
    ],
)
def test_it_opens_for_no_other_agent_name_or_version(ring: KeyRing, elsewhere: Place) -> None:
    with pytest.raises(Forged):
        ring.open(elsewhere, ring.seal(PLACE, VALUE))


def test_a_changed_byte_of_what_is_stored_is_noticed(ring: KeyRing) -> None:
    sealed = ring.seal(PLACE, VALUE)
    forged = [
        Sealed(sealed.key_id, _flipped(sealed.nonce), sealed.ciphertext),
        Sealed(sealed.key_id, sealed.nonce, _flipped(sealed.ciphertext)),
        Sealed(sealed.key_id, sealed.nonce, sealed.ciphertext[:-1]),
        Sealed(sealed.key_id, b"", sealed.ciphertext),
        Sealed(sealed.key_id, sealed.nonce, b""),
    ]
    for each in forged:
        with pytest.raises(Forged):
            ring.open(PLACE, each)


def test_no_nonce_is_used_twice(ring: KeyRing) -> None:
    seals = [ring.seal(PLACE, VALUE) for _ in range(1000)]
    assert len({sealed.nonce for sealed in seals}) == len({sealed.ciphertext for sealed in seals}) == 1000


def test_an_older_key_reads_and_the_current_one_writes() -> None:
    old, new = os.urandom(32), os.urandom(32)
    sealed = KeyRing(old).seal(PLACE, VALUE)
    ring = KeyRing(new, [old])
    assert ring.open(PLACE, sealed) == VALUE
    assert ring.seal(PLACE, VALUE).key_id == key_id_of(new) != key_id_of(old)
    with pytest.raises(UnknownKey, match=key_id_of(old)):
        KeyRing(new).open(PLACE, sealed)


def test_two_places_are_never_bound_by_the_same_bytes() -> None:
    agent = uuid4()
    places = [Place(agent, name, version) for name in ("a", "a1", "a11", "1", "11") for version in (1, 11, 111)]
    assert len({place.bound for place in places}) == len(places)


def test_the_text_of_a_ring_and_of_its_faults_shows_neither_key_nor_value(ring: KeyRing) -> None:
    with pytest.raises(Forged) as fault:
        ring.open(msgspec.structs.replace(PLACE, version=2), ring.seal(PLACE, VALUE))
    assert VALUE not in repr(fault.value)
    assert fault.value.__cause__ is None
    assert repr(ring).startswith("<shared.secrets.ring.KeyRing object")


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]
