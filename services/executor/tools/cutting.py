"""Texts of strangers, cut. Secrets are looked for afterwards, and half of one would not be found."""

import re

# In an address, a header or a document, what a secret is written with does not hold these.
WORD = re.compile(r"[^\s\"'<>&,;=(){}\[\]]+\Z")
# A longer one is cut within: it is no key but data.
WORD_CHARACTERS = 4096


def cut(text: str, length: int) -> str:
    """At most so many characters; of a longer text, none of the word that the end would fall into."""
    return text if len(text) <= length else without_last_word(text[:length])


def without_last_word(text: str) -> str:
    begin = max(len(text) - WORD_CHARACTERS - 1, 0)
    last = WORD.search(text, begin)
    is_longer = last is not None and begin > 0 and last.start() == begin
    return text if last is None or is_longer else text[: last.start()]
