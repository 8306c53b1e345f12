"""Texts of strangers, cut. Secrets are looked for afterwards, and half of one would not be found."""

import re

# What a secret is written with, in an address, a header or a document; longer ones are cut all the same.
TOKEN_END = re.compile(r"[^\s\"'<>&,;=(){}\[\]]{1,4096}\Z")


def cut(text: str, length: int) -> str:
    """At most so many characters; of a longer text, none of the word that the end would fall into."""
    return text if len(text) <= length else without_last_word(text[:length])


def without_last_word(text: str) -> str:
    found = TOKEN_END.search(text, max(len(text) - 4096, 0))
    return text[: found.start()] if found else text
