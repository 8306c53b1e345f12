"""Which topics and patterns there are, and which pattern covers which topic."""

import pytest

from shared.vocabulary.topics import matches, problem_of_pattern, problem_of_topic


@pytest.mark.parametrize(
    ("pattern", "topic", "is_covered"),
    [
        ("email.received", "email.received", True),
        ("email.received", "email.sent", False),
        ("email.*", "email.received", True),
        ("email.*", "email", False),
        ("email.*", "email.received.spam", False),
        ("*.received", "email.received", True),
        ("*", "email", True),
        ("order.**", "order.placed", True),
        ("order.**", "order.placed.abroad", True),
        ("order.**", "order", False),
        ("order.*.**", "order.placed", False),
        ("**", "anything.at.all", True),
    ],
)
def test_a_pattern_covers_a_topic(pattern: str, topic: str, is_covered: bool) -> None:
    assert matches(pattern, topic) is is_covered


@pytest.mark.parametrize("pattern", ["a", "a.b-c_1", "*", "**", "a.*.b", "a.*.**", "a" * 200])
def test_a_pattern_is_accepted(pattern: str) -> None:
    assert problem_of_pattern(pattern) is None


@pytest.mark.parametrize(
    ("pattern", "position", "suggestion"),
    [
        ("", None, None),
        ("a" * 201, None, None),
        ("Email.received", 0, "email.received"),
        ("email/received", 0, "email.received"),
        ("email..received", 6, "email.received"),
        (".email", 0, "email"),
        ("email.", 6, "email"),
        ("a.**.b", 2, None),
        ("a.b*", 2, None),
        ("a.***", 2, None),
        ("a b", 0, None),
        ("é", 0, None),
        ("a\n", 0, "a"),
    ],
)
def test_what_is_no_pattern_is_told_with_the_place(pattern: str, position: int | None, suggestion: str | None) -> None:
    problem = problem_of_pattern(pattern)
    assert problem is not None
    assert (problem.position, problem.suggestion) == (position, suggestion)


@pytest.mark.parametrize("topic", ["*", "a.*", "a.**", "", "A", "a..b"])
def test_an_event_has_no_pattern_for_a_topic(topic: str) -> None:
    assert problem_of_topic(topic) is not None


def test_an_event_has_a_topic() -> None:
    assert problem_of_topic("order.placed") is None
