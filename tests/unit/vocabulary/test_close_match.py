"""Suggestions are worth a few milliseconds, whoever chose the names."""

import time

import pytest

from shared.vocabulary.decoding import close_match, close_matches

LONG = "a" * 27 + "b" * 25


@pytest.mark.parametrize(
    ("given", "known", "meant"),
    [
        ("metod", ["url", "method", "headers"], "method"),
        ("http.requst", ["sleep", "http.request", "transform"], "http.request"),
        ("color", ["colour"], "colour"),
        ("x", ["color"], None),
        ("", ["color"], None),
        ("color", [], None),
        (f"{LONG}{'c' * 100}", [f"{LONG}{'c' * 99}"], f"{LONG}{'c' * 99}"),
    ],
)
def test_what_was_probably_meant(given: str, known: list[str], meant: str | None) -> None:
    assert close_match(given, known) == meant


def test_the_likest_come_first() -> None:
    assert close_matches("search", ["reach", "searches", "research", "fetch"], 2) == ["searches", "research"]


@pytest.mark.parametrize("name", [LONG, "a" * 60, "ab" * 30])
def test_many_long_names_that_are_alike_take_little_time(name: str) -> None:
    known = [f"{name}{number:04d}" for number in range(5000)]
    began_at = time.process_time()
    for _ in range(10):
        close_match(f"{name}x", known)
    assert time.process_time() - began_at < 0.2
