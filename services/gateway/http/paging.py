"""Lists, a page at a time."""

from typing import Annotated, Generic, TypeAlias, TypeVar

import msgspec
from litestar.params import QueryParameter

from shared.vocabulary.limits import PAGE_MAX

T = TypeVar("T")

OFFSET_MAX = 10_000_000

Limit: TypeAlias = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX, description="How many items at most.")]
Offset: TypeAlias = Annotated[int, QueryParameter(ge=0, le=OFFSET_MAX, description="How many items are left out.")]


class Page(msgspec.Struct, Generic[T], frozen=True):
    """`total` counts all items that the filters let through."""

    items: list[T]
    total: int
    limit: int
    offset: int
    has_more: bool


def page_of(items: list[T], total: int, limit: int, offset: int) -> Page[T]:
    return Page(items, total, limit, offset, offset + len(items) < total)
