"""PURE: names of agents, and which of them are one name to a reader."""

import unicodedata

from shared.vocabulary.faults import invalid_field


def clean_name(name: str) -> str:
    """Trimmed. Raises Invalid for one that a reader could not see as it is."""
    trimmed = name.strip()
    if not trimmed:
        raise invalid_field("name", "A name needs at least one visible character.", "required")
    if any(unicodedata.category(character).startswith("C") for character in trimmed):
        raise invalid_field("name", "A name has no control characters.", "invalid_character")
    return trimmed


def name_key(name: str) -> str:
    """Equal for names that differ only in case or in how their characters are encoded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
