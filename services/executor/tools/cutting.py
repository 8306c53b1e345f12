"""Texts of strangers, cut. Secrets are looked for afterwards, and half of one would not be found."""

import re

# In an address, a header or a document, what a secret is written with does not hold these.
WORD = re.compile(r"[^\s\"'<>&,;=(){}\[\]]*")
# A longer one is cut within: it is no key but data.
WORD_CHARACTERS = 4096


def cut(text: str, length: int) -> str:
    """At most so many characters; of a longer text, none of the word that the end would fall into."""
    return text if len(text) <= length else without_last_word(text[:length])


def without_last_word(text: str) -> str:
    # Backwards, because a search for the end would begin anew at each character.
    last = WORD.match(text[: -WORD_CHARACTERS - 2 : -1])
    length = last.end() if last else 0
    return text if length > WORD_CHARACTERS else text[: len(text) - length]
