"""Seals and opens values: AES-256-GCM (NIST SP 800-38D) with a fresh random nonce of 96 bits for each."""

import hashlib
import os
from collections.abc import Iterable
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
PURPOSE = b"pao:secret:1"
KEY_ID_CHARACTERS = 12


class Place(msgspec.Struct, frozen=True):
    """Where a value belongs. Its ciphertext opens nowhere else."""

    agent_id: UUID
    name: str
    version: int

    @property
    def bound(self) -> bytes:
        """Parts of fixed length first, so that no two places have the same bytes."""
        return PURPOSE + self.agent_id.bytes + self.version.to_bytes(8, "big") + self.name.encode()


class Sealed(msgspec.Struct, frozen=True):
    """`ciphertext` ends with the tag of 16 bytes."""

    key_id: str
    nonce: bytes
    ciphertext: bytes


class CannotOpen(Exception):
    """The value is lost to whoever holds these keys."""


class UnknownKey(CannotOpen):
    """It was sealed under a key that the ring does not hold."""


class Forged(CannotOpen):
    """It was changed, or moved here from another agent, name or version."""


class KeyRing:
    """Seals under the current key; opens under that one and older ones. Keeps no value."""

    def __init__(self, current: bytes, older: Iterable[bytes] = ()) -> None:
        self.current_id = key_id_of(current)
        self._ciphers = {key_id_of(key): AESGCM(key) for key in (current, *older)}

    def seal(self, place: Place, value: str) -> Sealed:
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = self._ciphers[self.current_id].encrypt(nonce, value.encode(), place.bound)
        return Sealed(self.current_id, nonce, ciphertext)

    def open(self, place: Place, sealed: Sealed) -> str:
        """Raises UnknownKey or Forged."""
        cipher = self._ciphers.get(sealed.key_id)
        if cipher is None:
            raise UnknownKey(f"it was sealed under the key {sealed.key_id}, which is not given here")
        try:
            return cipher.decrypt(sealed.nonce, sealed.ciphertext, place.bound).decode()
        except (InvalidTag, ValueError):  # ValueError: a nonce or ciphertext of a length that none has
            raise Forged("its stored form was changed or belongs elsewhere") from None


def key_id_of(key: bytes) -> str:
    """A short name by which a row says which key it needs; it tells nothing about the key."""
    return hashlib.sha256(b"pao:secrets-key-id:" + key).hexdigest()[:KEY_ID_CHARACTERS]
