"""PURE: the form of a token, `pao_<key id>_<secret>_<checksum>`, and the hash that is stored of it."""

import hashlib
import hmac
import secrets
import string
import zlib

import msgspec

PREFIX = "pao"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_ID_CHARACTERS = 12
# 62^32 is 190 bits.
SECRET_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
TOKEN_CHARACTERS = len(PREFIX) + KEY_ID_CHARACTERS + SECRET_CHARACTERS + CHECKSUM_CHARACTERS + 3

_LETTERS = frozenset(ALPHABET)


class Token(msgspec.Struct, frozen=True):
    key_id: str
    secret: str

    @property
    def text(self) -> str:
        body = f"{PREFIX}_{self.key_id}_{self.secret}"
        return f"{body}_{_checksum(body)}"


def new_token() -> Token:
    return Token(_random(KEY_ID_CHARACTERS), _random(SECRET_CHARACTERS))


def parse_token(text: str) -> Token | None:
    """None for what no gateway has ever given out. The checksum rejects typing errors cheaply; it proves nothing."""
    if len(text) != TOKEN_CHARACTERS:
        return None
    prefix, *parts = text.split("_")
    if prefix != PREFIX or [len(part) for part in parts] != [KEY_ID_CHARACTERS, SECRET_CHARACTERS, CHECKSUM_CHARACTERS]:
        return None
    if not _LETTERS.issuperset("".join(parts)):
        return None
    token = Token(parts[0], parts[1])
    return token if token.text == text else None


def hash_secret(token_key: bytes, secret: str) -> bytes:
    """A fast hash is right for a secret of 190 random bits; the key keeps a copy of the database from being tried."""
    return hmac.digest(token_key, secret.encode(), hashlib.sha256)


def _random(characters: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(characters))


def _checksum(body: str) -> str:
    rest, letters = zlib.crc32(body.encode()), ""
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(ALPHABET))
        letters = ALPHABET[digit] + letters
    return letters
