"""PURE: what a token may be."""

import unicodedata
from datetime import datetime, timedelta

from services.gateway.auth.token import ALPHABET, KEY_ID_CHARACTERS
from services.gateway.tokens.wire import TokenCreate
from shared.tasks.fields import in_utc
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import TOKEN_DAYS, TOKEN_DAYS_DEFAULT

_LETTERS = frozenset(ALPHABET)


def clean_label(label: str) -> str:
    """Trimmed; it may be empty."""
    trimmed = label.strip()
    if any(unicodedata.category(character).startswith("C") for character in trimmed):
        raise invalid_field("label", "A label has no control characters.", "invalid_character")
    return trimmed


def lifetime_of(wanted: TokenCreate, now: datetime) -> tuple[int, datetime | None]:
    """For how many days, unless until when is told. Raises Invalid."""
    if wanted.expires_at is None:
        return wanted.expires_in_days or TOKEN_DAYS_DEFAULT, None
    if wanted.expires_in_days is not None:
        raise invalid_field("expires_at", "Give expires_in_days or expires_at, not both.", "conflicting_fields")
    expires_at = in_utc("expires_at", wanted.expires_at)
    if not now < expires_at <= now + timedelta(days=TOKEN_DAYS):
        raise invalid_field("expires_at", f"A token ends in the future, within {TOKEN_DAYS} days.", "out_of_range")
    return TOKEN_DAYS_DEFAULT, expires_at


def is_key_id(text: str) -> bool:
    """Whether any token could have it."""
    return len(text) == KEY_ID_CHARACTERS and _LETTERS.issuperset(text)
