"""What is cut ends before the word that would be cut in two: half a secret is not known again."""

from datetime import UTC, datetime

import pytest

from services.executor.tools.answer import Answer
from services.executor.tools.cutting import cut
from services.executor.tools.http_outcome import fault_of_status

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "length", "left"),
    [
        ("short enough", 12, "short enough"),
        ("a key: s3cr3t-s3cr3t", 15, "a key: "),
        ('{"key":"s3cr3t"}', 12, '{"key":"'),
        ("s3cr3ts3cr3t", 6, ""),
        ("one two", 4, "one "),
        ("x" * 6000, 5000, "x" * 5000),
        (f"a {'x' * 6000}", 4000, "a "),
    ],
)
def test_no_word_is_cut_in_two(text: str, length: int, left: str) -> None:
    assert cut(text, length) == left


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("https://a.example/b?key=s3cr3t#x", "https://a.example/b;"),
        ("/b?key=s3cr3t", "/b;"),
        ("https://user:s3cr3t@a.example/b", "https://a.example/b;"),
        ("https://a.example/" + "p" * 150 + "/s3cr3t" + "s" * 60, "https://a.example/" + "p" * 150 + "/…;"),
    ],
)
def test_of_a_redirect_only_the_place_is_told(location: str, told: str) -> None:
    fault = fault_of_status(Answer(302, {"location": location}, "", truncated=False), NOW)
    assert f" to {told}" in fault.message
    assert "s3cr3t" not in fault.message
