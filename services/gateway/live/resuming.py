"""Where a client goes on that was disconnected: `Last-Event-ID`, as a header, or as a query for clients that cannot set
it."""

from typing import Annotated, Any, TypeAlias
from uuid import UUID

from litestar.connection import Request
from litestar.params import QueryParameter

from services.gateway.http.faults import Gone
from services.gateway.live.position import Position, parse_position
from shared.vocabulary.faults import BadRequest

HEADER = "last-event-id"
LENGTH = 128

LastEventId: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=LENGTH,
        description="The id of the last event that was received, for clients that cannot send the header "
        "Last-Event-ID. The header counts where both are there.",
    ),
]


def last_id_of(request: Request[Any, Any, Any], query: str | None) -> str | None:
    """None for a client that begins. Raises BadRequest for more than one."""
    given = request.headers.getall(HEADER, [])
    if len(given) > 1 or any(len(each) > LENGTH for each in given):
        raise invalid_last_event_id()
    return (given[0] if given else None) or query


def position_in(text: str) -> Position:
    """Of a stream of runs. Raises BadRequest."""
    position = parse_position(text)
    if position is None:
        raise invalid_last_event_id()
    return position


def event_in(text: str) -> UUID:
    """Of a stream of events. Raises BadRequest."""
    try:
        event_id = UUID(text)
    except ValueError:
        raise invalid_last_event_id() from None
    if str(event_id) != text.lower():
        raise invalid_last_event_id()
    return event_id


def invalid_last_event_id() -> BadRequest:
    message = "Last-Event-ID is the id of an event of this stream, as it was received; leave it out to begin now."
    return BadRequest(message, error_code="invalid_last_event_id")


def history_gone(detail: str) -> Gone:
    return Gone(detail, error_code="history_gone")
