"""PURE: conditional requests (RFC 9110, section 13) on objects whose ETag is their version."""

import re
from collections.abc import Sequence
from typing import Annotated, TypeAlias

from litestar.params import HeaderParameter

from shared.vocabulary.faults import BadRequest, PreconditionFailed

IfMatch: TypeAlias = Annotated[
    str | None, HeaderParameter(name="If-Match", description="The ETag of the version that is to change.")
]
ANY = "*"
# A version without its quotes can mean nothing else.
ENTITY_TAG = re.compile(r'(W/)?(?:"([\x21\x23-\x7e\x80-\xff]*)"|(\d+))')
BETWEEN = re.compile(r"[ \t]*(?:,[ \t]*)+")


def check_version(if_match: str | None, version: int, what: str = "object") -> None:
    """Section 13.1.1: the change is made only to the version that the client has seen. Raises PreconditionFailed, or
    BadRequest for what is no list of entity tags."""
    if if_match is None or if_match.strip() == ANY:
        return
    tags = _entity_tags(if_match)
    if tags is None:
        message = 'If-Match takes ETags as they were sent, such as "3", or *.'
        raise BadRequest(message)
    # Compared strongly: a weak tag never matches.
    if (False, str(version)) not in tags:
        message = (
            f"The {what} has changed since you read it: its version is {version} now. Read it again, then change it."
        )
        raise PreconditionFailed(message)


def is_known(if_none_match: Sequence[bytes], etag: bytes) -> bool:
    """Section 13.1.2, compared weakly. A header that cannot be read is none."""
    text = b", ".join(if_none_match).decode("latin-1").strip()
    if text == ANY:
        return True
    opaque = etag.decode("latin-1").removeprefix("W/").strip('"')
    return any(tag == opaque for _, tag in _entity_tags(text) or ())


def _entity_tags(text: str) -> set[tuple[bool, str]] | None:
    """Whether each is weak, and what it says; None for what is no list of them."""
    found: set[tuple[bool, str]] = set()
    rest = text.strip(" \t")
    while rest:
        tag = ENTITY_TAG.match(rest)
        if tag is None:
            return None
        found.add((tag[1] is not None, tag[2] or tag[3] or ""))
        rest = rest[tag.end() :]
        between = BETWEEN.match(rest)
        if rest and between is None:
            return None
        rest = rest[between.end() :] if between else rest
    return found or None
