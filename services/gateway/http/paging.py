"""Lists, a page at a time: by offset near the beginning, by cursor at any depth."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeAlias, TypeVar
from uuid import UUID

import msgspec
from litestar.params import QueryParameter

from services.gateway.http.instants import wrong_query
from shared.vocabulary.faults import BadRequest
from shared.vocabulary.limits import CURSOR_CHARACTERS, PAGE_MAX, TOTAL_MAX

T = TypeVar("T")

OFFSET_MAX = 10_000_000
MAC_BYTES = 16

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many items at most.")]
Offset: TypeAlias = Annotated[int, QueryParameter(ge=0, le=OFFSET_MAX, description="How many items are left out.")]
Cursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=CURSOR_CHARACTERS,
        description="The next_cursor of the page before, with the same filters and the same sort.",
    ),
]
# The sort values of an item in the order of the list, its id last.
Position: TypeAlias = tuple[Any, ...]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`total` counts all items that the filters let through, exactly up to 10,000; `is_total_capped` says that there
    are more. `next_cursor` is null on the last page."""

    items: list[T]
    total: int
    limit: int
    offset: int
    has_more: bool
    is_total_capped: bool = False
    next_cursor: str | None = None


class PageRequest(msgspec.Struct, frozen=True):
    """Which part of a list is wanted. `after`: the position of the last item of the page before. `binding`: for whom,
    of which list and with which filters a cursor is good."""

    limit: int
    offset: int
    sort: str
    after: Position | None
    binding: bytes


class Found(msgspec.Struct, Generic[T], frozen=True):
    """What a repository found. `total` may be one more than the greatest that is shown. `last`: the position of the
    last item, if more follow."""

    items: Sequence[T]
    total: int
    last: Position | None


class Cursors:
    """Writes cursors that only their reader can use, and only for the list that they were made of."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"cursors of lists", hashlib.sha256)

    def request(
        self,
        caller_id: UUID,
        route: str,
        filters: msgspec.Struct | None,
        *,
        sort: str,
        limit: int,
        offset: int,
        cursor: str | None,
    ) -> PageRequest:
        """Raises BadRequest for a cursor that was not made for this."""
        binding = msgspec.json.encode([caller_id, route, filters, sort])
        if cursor is None:
            return PageRequest(limit, offset, sort, None, binding)
        if offset:
            raise wrong_query("offset", "Give an offset or a cursor, not both.", "conflicting_parameters")
        return PageRequest(limit, 0, sort, self._read(cursor, binding), binding)

    def page(self, request: PageRequest, found: Found[T]) -> Page[T]:
        return Page(
            items=[*found.items],
            total=min(found.total, TOTAL_MAX),
            limit=request.limit,
            offset=request.offset,
            has_more=found.last is not None,
            is_total_capped=found.total > TOTAL_MAX,
            next_cursor=None if found.last is None else self._write(found.last, request.binding),
        )

    def _write(self, position: Position, binding: bytes) -> str:
        text = msgspec.json.encode(position)
        return base64.urlsafe_b64encode(self._mac(text, binding) + text).rstrip(b"=").decode()

    def _read(self, cursor: str, binding: bytes) -> Position:
        try:
            given = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raise _invalid_cursor() from None
        mac, text = given[:MAC_BYTES], given[MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(text, binding)):
            raise _invalid_cursor()
        return tuple(msgspec.json.decode(text, type=list[Any]))

    def _mac(self, text: bytes, binding: bytes) -> bytes:
        message = len(binding).to_bytes(4, "big") + binding + text
        return hmac.digest(self._key, message, hashlib.sha256)[:MAC_BYTES]


def page_of(items: list[T], total: int, limit: int, offset: int) -> Page[T]:
    """Of a list that is never deep."""
    return Page(items, total, limit, offset, offset + len(items) < total)


def _invalid_cursor() -> BadRequest:
    message = "This cursor was not made for this list. Begin again without one; keep filters and sort as they are."
    fault = wrong_query("cursor", message, "invalid_cursor")
    return BadRequest(message, error_code="invalid_cursor", validation_errors=fault.validation_errors)
