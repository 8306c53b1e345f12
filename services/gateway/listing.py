"""A page of a list from the database: as many rows as asked for, and a count that stops where it is no longer shown."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, UnaryExpression, func, literal, select, true, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from services.gateway.http.paging import Found, PageRequest
from shared.vocabulary.limits import TOTAL_MAX

T = TypeVar("T")

DESCENDING = "-"
TOTAL = "total"


class Key(msgspec.Struct, frozen=True):
    """One column by which a list can be sorted: never null, `kind` the type of its values."""

    column: ColumnElement[Any]
    kind: type


# The keys behind each name that `sort` may have; the last one is unique.
Sorts = Mapping[str, tuple[Key, ...]]


class Part(msgspec.Struct, frozen=True):
    """A part of a list: which rows, with all filters, and the keys by which they are sorted, the last one the id."""

    rows: Select[Any]
    keys: tuple[Key, ...]


async def find_page(
    connection: AsyncConnection,
    query: Select[Any],
    sorts: Sorts,
    request: PageRequest,
    view: Callable[[Mapping[Any, Any]], T],
    *,
    counted: Select[Any] | None = None,
) -> Found[T]:
    """`query`: the columns that `view` takes, with all filters, in no order. `counted`: what to count instead, where
    `query` gives no more than one page."""
    total = await connection.scalar(_counted(query if counted is None else counted))
    keys = sorts[request.sort.removeprefix(DESCENDING)]
    rows = (await connection.execute(_sliced(query, keys, request))).mappings().all()
    shown = rows[: request.limit]
    last = tuple(shown[-1][_label(number)] for number in range(len(keys))) if len(rows) > len(shown) else None
    names = {_label(number) for number in range(len(keys))}
    items = [view({name: value for name, value in row.items() if name not in names}) for row in shown]
    return Found(items, total or 0, last)


async def find_ids(
    connection: AsyncConnection, few: Sequence[Part], many: Sequence[Part], request: PageRequest
) -> Found[UUID]:
    """For filters that no index serves in the order wanted. As many as are counted are collected, then sorted; only
    when there are more is the order walked, where the next that fits is never far. So the planner cannot take the one
    for the other. `few` and `many` tell the same rows, in parts without a common row, once to be collected and once to
    be walked. Planned anew each time: the best plan for one value is not the best for another."""
    await connection.exec_driver_sql("SET plan_cache_mode = force_custom_plan")
    try:
        rows = (await connection.execute(_collected(few, request))).mappings().all()
        total = rows[0][TOTAL]
        if total > TOTAL_MAX:
            rows = (await connection.execute(_walked(many, request))).mappings().all()
    finally:
        await connection.exec_driver_sql("RESET plan_cache_mode")
    names = [_label(number) for number in range(len(few[0].keys))]
    found = [tuple(row[name] for name in names) for row in rows if row[names[0]] is not None]
    shown = found[: request.limit]
    return Found([position[-1] for position in shown], total, shown[-1] if len(found) > len(shown) else None)


def _collected(parts: Sequence[Part], request: PageRequest) -> Select[Any]:
    """One row at least, which tells how many there are."""
    all_parts = union_all(*[_narrow(part) for part in parts]) if len(parts) > 1 else _narrow(parts[0])
    matches = all_parts.limit(TOTAL_MAX + 1).cte("matches").prefix_with("MATERIALIZED", dialect="postgresql")
    keys = _labelled(matches.c, parts[0].keys)
    page = _sliced(select(), keys, request).subquery("page")
    counted = select(func.count().label(TOTAL)).select_from(matches).subquery("counted")
    ordered = [_ordered(key, _is_descending(request)) for key in _labelled(page.c, keys)]
    return select(counted, page).select_from(counted.outerjoin(page, true())).order_by(*ordered)


def _walked(parts: Sequence[Part], request: PageRequest) -> Select[Any]:
    """Each part as far as it can reach into the page."""
    if len(parts) == 1:
        return _sliced(parts[0].rows.with_only_columns(), parts[0].keys, request)
    reach = msgspec.structs.replace(request, limit=request.offset + request.limit, offset=0)
    reached = [_sliced(part.rows.with_only_columns(), part.keys, reach).subquery().select() for part in parts]
    merged = union_all(*reached).subquery()
    return _sliced(select(), _labelled(merged.c, parts[0].keys), request)


def _narrow(part: Part) -> Select[Any]:
    return part.rows.with_only_columns(*[key.column.label(_label(number)) for number, key in enumerate(part.keys)])


def _labelled(columns: ReadOnlyColumnCollection[str, Any], keys: tuple[Key, ...]) -> tuple[Key, ...]:
    return tuple(Key(columns[_label(number)], key.kind) for number, key in enumerate(keys))


def _is_descending(request: PageRequest) -> bool:
    return request.sort.startswith(DESCENDING)


def _counted(query: Select[Any]) -> Select[Any]:
    some = query.with_only_columns(literal(1), maintain_column_froms=True).order_by(None).limit(TOTAL_MAX + 1)
    return select(func.count()).select_from(some.subquery())


def _sliced(query: Select[Any], keys: tuple[Key, ...], request: PageRequest) -> Select[Any]:
    """One row more than asked for says whether there are more."""
    is_descending = _is_descending(request)
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
