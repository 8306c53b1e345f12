"""Instants in queries."""

from datetime import UTC, datetime

from services.gateway.http.faults import invalid_query
from shared.vocabulary.faults import BadRequest, FieldFault


def query_instant(name: str, moment: datetime | None) -> datetime | None:
    """In UTC. Raises BadRequest for one that has no offset, or lies outside the years that there are."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        message = "Give the offset from UTC, such as 2030-01-31T09:00:00Z; in a URL, + is written %2B."
        raise wrong_query(name, message, "invalid_datetime")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise wrong_query(name, "This instant lies outside the years 1 to 9999.", "invalid_datetime") from None


def wrong_query(name: str, message: str, code: str) -> BadRequest:
    return invalid_query([FieldFault(name, message, code)])
