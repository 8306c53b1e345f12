"""Topics of events, and the patterns that tasks wait for: `email.received`, `email.*`, `order.**`."""

import functools
import re

import msgspec

from shared.vocabulary.limits import TOPIC_CHARACTERS

ONE, REST = "*", "**"
# The same ones are published again and again.
TOPICS_KNOWN = 4096
SEGMENT = re.compile(r"[a-z0-9_-]+")
EXPECTED = "names of a-z, 0-9, _ and - separated by dots, such as email.received"


class TopicProblem(msgspec.Struct, frozen=True):
    """`position`: the first character of the segment that is wrong."""

    message: str
    position: int | None = None
    suggestion: str | None = None


@functools.lru_cache(TOPICS_KNOWN)
def problem_of_topic(topic: str) -> TopicProblem | None:
    """None for a topic that an event can have."""
    return _problem_of(topic, is_pattern=False)


def problem_of_pattern(pattern: str) -> TopicProblem | None:
    """None for a topic or a pattern: `*` stands for one segment, `**` at the end for one or more."""
    return _problem_of(pattern, is_pattern=True)


def matches(pattern: str, topic: str) -> bool:
    """Whether a well-formed pattern covers a well-formed topic."""
    wanted, given = pattern.split("."), topic.split(".")
    if wanted[-1] == REST:
        wanted.pop()
        if len(given) <= len(wanted):
            return False
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        segment in (ONE, name) for segment, name in zip(wanted, given, strict=True)
    )


def _problem_of(text: str, *, is_pattern: bool) -> TopicProblem | None:
    if not 1 <= len(text) <= TOPIC_CHARACTERS:
        return TopicProblem(f"A topic has 1 to {TOPIC_CHARACTERS} characters: {EXPECTED}.")
    position = 0
    segments = text.split(".")
    for index, segment in enumerate(segments):
        is_wildcard = is_pattern and (segment == ONE or (segment == REST and index == len(segments) - 1))
        if not is_wildcard and SEGMENT.fullmatch(segment) is None:
            return TopicProblem(_message(segment, is_pattern=is_pattern), position, _suggestion(text))
        position += len(segment) + 1
    return None


def _message(segment: str, *, is_pattern: bool) -> str:
    if not is_pattern:
        return f"A topic consists of {EXPECTED}."
    if segment == REST:
        return (
            "** stands for the rest of a topic and comes last, as in order.**; in the middle, * stands for one segment."
        )
    return f"A topic consists of {EXPECTED}; * stands for one segment, ** at the end for all that follow."


def _suggestion(text: str) -> str | None:
    mended = ".".join(part for part in text.strip().casefold().replace("/", ".").split(".") if part)
    is_other = mended not in ("", text)
    return mended if is_other and _problem_of(mended, is_pattern=True) is None else None
