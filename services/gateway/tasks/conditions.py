"""PURE: on which conditions a task is declared, and which key a path names."""

from typing import Annotated, TypeAlias
from urllib.parse import unquote_to_bytes

import msgspec
from litestar.params import HeaderParameter

from services.gateway.http.conditions import check_version, is_known
from services.gateway.http.replies import etag
from shared.tasks import fields
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import PreconditionFailed, invalid_field

KEY = "dedupe_key"
NUL = "\x00"

IfNoneMatch: TypeAlias = Annotated[
    str | None, HeaderParameter(name="If-None-Match", description="`*`: only if there is none with this key yet.")
]


class Conditions(msgspec.Struct, frozen=True):
    """RFC 9110, sections 13.1.1 and 13.1.2."""

    if_match: str | None
    if_none_match: str | None

    def check_absent(self) -> None:
        """Raises PreconditionFailed for who means a task that exists."""
        if self.if_match is not None:
            message = "There is no active or paused task with this key; leave If-Match out to create one."
            raise PreconditionFailed(message)

    def check_present(self, version: int) -> None:
        check_version(self.if_match, version, "task")
        known = None if self.if_none_match is None else self.if_none_match.encode("latin-1", "replace")
        if known is not None and is_known([known], etag(version)["ETag"].encode()):
            raise PreconditionFailed("There is an active or paused task with this key already.")


def key_in(raw_path: bytes, before: bytes) -> str:
    """What stands behind `before` in the path as it was sent: a key may have a slash, written %2F. Raises Invalid."""
    given = unquote_to_bytes(raw_path.partition(before)[2])
    try:
        key = given.decode()
    except UnicodeDecodeError:
        raise invalid_field(KEY, "The key in the path is not percent-encoded UTF-8.", "invalid_character") from None
    if NUL in key:
        raise invalid_field(KEY, "The character U+0000 cannot be stored.", "invalid_character")
    return decode(key, fields.Key, KEY)


def with_key(wanted: TaskCreate, key: str) -> TaskCreate:
    """Raises Invalid for a body that names another."""
    if wanted.dedupe_key not in (None, key):
        raise invalid_field(KEY, "The path names the key; leave it out, or give the same.", "invalid_choice")
    return msgspec.structs.replace(wanted, dedupe_key=key)
