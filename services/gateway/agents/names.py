"""PURE: names of agents as they are kept."""

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
