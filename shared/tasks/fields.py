"""PURE: the types of a task's fields, and what a type cannot say about their values."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, TypeAlias

import msgspec

from shared.timing.exclusions import Exclusion
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import (
    CONCURRENCY_LIMIT,
    DEDUPE_KEY_CHARACTERS,
    DESCRIPTION_CHARACTERS,
    EVENT_FILTER_CHARACTERS,
    EXCLUSIONS_PER_TASK,
    EXPIRES_AFTER_SECONDS,
    MAX_RETRIES,
    NOTE_CHARACTERS,
    PRIORITY_HIGHEST,
    PRIORITY_LOWEST,
    RATE_LIMIT,
    RATE_PERIOD_SECONDS,
    SNOOZE_SECONDS,
    TAG_CHARACTERS,
    TAGS_PER_TASK,
    TIMEOUT_SECONDS,
    TITLE_CHARACTERS,
)

TIMEZONE_DEFAULT = "Europe/Chisinau"
DAY_SECONDS = 86_400
YEAR_SECONDS = 366 * DAY_SECONDS
MAX_RUNS = 1_000_000_000
FAILURES_IN_A_ROW = 100
CONCURRENCY_LIMIT_DEFAULT = 1

Title: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_CHARACTERS)]
Description: TypeAlias = Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARACTERS)]
EventFilter: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=EVENT_FILTER_CHARACTERS)]
Exclusions: TypeAlias = Annotated[list[Exclusion], msgspec.Meta(max_length=EXCLUSIONS_PER_TASK)]
Note: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=NOTE_CHARACTERS)]
Priority: TypeAlias = Annotated[int, msgspec.Meta(ge=PRIORITY_HIGHEST, le=PRIORITY_LOWEST)]
Key: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=DEDUPE_KEY_CHARACTERS)]
Retries: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_RETRIES)]
Timeout: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=TIMEOUT_SECONDS)]
Window: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=YEAR_SECONDS)]
Jitter: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=DAY_SECONDS)]
Runs: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=MAX_RUNS)]
Delay: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=SNOOZE_SECONDS)]
ConcurrencyLimit: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=CONCURRENCY_LIMIT)]
ExpiresAfter: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=EXPIRES_AFTER_SECONDS)]
Failures: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=FAILURES_IN_A_ROW)]
Moment: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
Tag: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=TAG_CHARACTERS)]
Tags: TypeAlias = Annotated[list[Tag], msgspec.Meta(max_length=TAGS_PER_TASK)]


class RateLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """At most `limit` runs begin in any `period_seconds`; what is too much begins later. Tasks of one agent that give
    the same `key` share the limit; without one it is the task's own."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=RATE_LIMIT)]
    period_seconds: Annotated[int, msgspec.Meta(ge=1, le=RATE_PERIOD_SECONDS)]
    key: Key | None = None


def check_concurrency(key: str | None, limit: int) -> None:
    """A limit counts the runs of those that share its key."""
    if key is None and limit != CONCURRENCY_LIMIT_DEFAULT:
        message = "A concurrency_limit needs a concurrency_key: it counts the runs of all tasks that share the key."
        raise invalid_field("concurrency_key", message, "required")


def check_window(dedupe_key: str | None, window_seconds: int) -> None:
    """A window is one in which the key counts."""
    if dedupe_key is None and window_seconds > 0:
        message = "A dedupe_window_seconds needs a dedupe_key: within it, no second task with that key is created."
        raise invalid_field("dedupe_key", message, "required")


def clean_title(title: str) -> str:
    """Trimmed. Refused when nothing remains that a reader could see."""
    trimmed = title.strip()
    if not trimmed:
        raise invalid_field("title", "A title needs at least one visible character.", "required")
    if all(unicodedata.category(character).startswith(("C", "Z")) for character in trimmed):
        message = "The title consists of control characters only; give it at least one visible one."
        raise invalid_field("title", message, "invalid_character")
    return trimmed


def in_utc(field: str, moment: datetime) -> datetime:
    """Postgres stores UTC: an offset must not lead out of the years 1 to 9999."""
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise invalid_field(field, "This instant lies outside the years 1 to 9999.", "invalid_datetime") from None


def distinct(tags: list[str]) -> list[str]:
    """Each tag once, in the order given."""
    return list(dict.fromkeys(tags))
