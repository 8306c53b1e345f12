"""Names of agents, and which of them are one name to a reader."""

import unicodedata


def name_key(name: str) -> str:
    """Equal for names that differ only in case or in how their characters are encoded."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
