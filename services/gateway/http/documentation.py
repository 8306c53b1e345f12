"""What a route says of itself beyond its types, for the document: `opt=requires(…) | fails(…) | sends(…)`."""

from typing import Any

OPTION = "error_codes"
ANSWERS = "answers"
HEADERS = "headers"
LOOKS_ONLY = "looks_only"

# What `shared/timing` refuses a schedule with, and `shared/pipeline` a pipeline.
OF_SCHEDULES = (
    "invalid_schedule",
    "schedule_never_fires",
    "schedule_too_frequent",
    "schedule_too_complex",
    "schedule_in_past",
    "invalid_timezone",
    "invalid_datetime",
)
OF_PIPELINES = (
    "invalid_pipeline",
    "unknown_tool",
    "invalid_url",
    "destination_forbidden",
    "invalid_header",
    "invalid_body",
    "invalid_secret",
    "invalid_topic",
)


def fails(*error_codes: str) -> dict[str, Any]:
    """Of a route: the codes that are its own, beside those that follow from its scope, parameters and body. A code that
    the route gives another status than usual is written with it: `409 schedule_never_fires`."""
    return {OPTION: error_codes}


def answers(*statuses: int) -> dict[str, Any]:
    """Of a route: the statuses with which it answers the same body, beside its first."""
    return {ANSWERS: statuses}


def sends(*headers: str) -> dict[str, Any]:
    """Of a route: the headers of its good answers, such as ETag and Location."""
    return {HEADERS: headers}


def looks_only() -> dict[str, Any]:
    """Of a POST that changes nothing, and so takes no Idempotency-Key."""
    return {LOOKS_ONLY: True}
