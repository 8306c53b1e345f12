"""Routes that will go: declared beside each, told in every answer of theirs and in the document."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from typing import Any, TypeAlias

import msgspec
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute

OPTION = "deprecation"
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class Deprecation(msgspec.Struct, frozen=True):
    """`since`: from when on it should not be used. `sunset`: from when on it may be gone. `headers`: of its answers."""

    since: date
    sunset: date | None
    successor: str | None
    headers: Headers


def deprecated(*, since: date, sunset: date | None = None, successor: str | None = None) -> dict[str, Any]:
    """Of a route. `successor`: the path of what to use instead."""
    return {OPTION: Deprecation(since, sunset, successor, _headers(since, sunset, successor))}


def deprecation_of(handler: BaseRouteHandler) -> Deprecation | None:
    found: Deprecation | None = handler.opt.get(OPTION)
    return found


def mark_deprecated(routes: Iterable[BaseRoute]) -> None:
    """For the document, which is made when it is first asked for."""
    for route in routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            handler.deprecated = handler.deprecated or deprecation_of(handler) is not None


def _headers(since: date, sunset: date | None, successor: str | None) -> Headers:
    """RFC 9745, RFC 8594 and RFC 5829."""
    headers = [(b"deprecation", b"@%d" % _midnight(since).timestamp())]
    if sunset is not None:
        headers.append((b"sunset", format_datetime(_midnight(sunset), usegmt=True).encode()))
    if successor is not None:
        headers.append((b"link", f'<{successor}>; rel="successor-version"'.encode()))
    return tuple(headers)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
