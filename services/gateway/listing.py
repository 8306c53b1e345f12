"""A page of a list from the database: as many rows as asked for, and a count that stops where it is no longer shown."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Select, UnaryExpression, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.paging import Found, PageRequest
from shared.vocabulary.limits import TOTAL_MAX

T = TypeVar("T")

DESCENDING = "-"


class Key(msgspec.Struct, frozen=True):
    """One column by which a list can be sorted: never null, `kind` the type of its values."""

    column: ColumnElement[Any]
    kind: type


# The keys behind each name that `sort` may have; the last one is unique.
Sorts = Mapping[str, tuple[Key, ...]]


async def find_page(
    connection: AsyncConnection,
    query: Select[Any],
    sorts: Sorts,
    request: PageRequest,
    view: Callable[[Mapping[Any, Any]], T],
) -> Found[T]:
    """`query`: the columns that `view` takes, with all filters, in no order."""
    total = await connection.scalar(_counted(query))
    keys = sorts[request.sort.removeprefix(DESCENDING)]
    rows = (await connection.execute(_sliced(query, keys, request))).mappings().all()
    shown = rows[: request.limit]
    last = tuple(shown[-1][_label(number)] for number in range(len(keys))) if len(rows) > len(shown) else None
    names = {_label(number) for number in range(len(keys))}
    items = [view({name: value for name, value in row.items() if name not in names}) for row in shown]
    return Found(items, total or 0, last)


def _counted(query: Select[Any]) -> Select[Any]:
    some = query.with_only_columns(literal(1)).order_by(None).limit(TOTAL_MAX + 1)
    return select(func.count()).select_from(some.subquery())


def _sliced(query: Select[Any], keys: tuple[Key, ...], request: PageRequest) -> Select[Any]:
    """One row more than asked for says whether there are more."""
    is_descending = request.sort.startswith(DESCENDING)
    labelled = [key.column.label(_label(number)) for number, key in enumerate(keys)]
    sliced = query.add_columns(*labelled).order_by(*[_ordered(key, is_descending) for key in keys])
    if request.after is not None:
        sliced = sliced.where(_beyond(keys, request.after, is_descending))
    return sliced.limit(request.limit + 1).offset(request.offset)


def _beyond(keys: tuple[Key, ...], after: tuple[Any, ...], is_descending: bool) -> ColumnElement[bool]:
    columns = tuple_(*[key.column for key in keys])
    values = tuple_(
        *[literal(msgspec.convert(value, key.kind), key.column.type) for key, value in zip(keys, after, strict=True)]
    )
    return columns < values if is_descending else columns > values


def _ordered(key: Key, is_descending: bool) -> UnaryExpression[Any]:
    return key.column.desc() if is_descending else key.column.asc()


def _label(number: int) -> str:
    return f"sorted_by_{number}"
