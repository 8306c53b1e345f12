"""Jitter: spread out, repeatable, and never past the next occurrence."""

from datetime import timedelta

from shared.timing.jitter import jitter

KEYS = [str(number).encode() for number in range(1000)]


def test_the_same_occurrence_has_the_same_delay() -> None:
    assert jitter(b"occurrence", 60, None) == jitter(b"occurrence", 60, None)


def test_delays_fill_the_whole_range() -> None:
    delays = sorted(jitter(key, 60, None) for key in KEYS)
    assert timedelta() <= delays[0] < timedelta(seconds=1)
    assert timedelta(seconds=59) < delays[-1] <= timedelta(seconds=60)
    assert timedelta(seconds=25) < delays[len(delays) // 2] < timedelta(seconds=35)


def test_the_next_occurrence_is_never_reached() -> None:
    gap = timedelta(seconds=5)
    assert max(jitter(key, 60, gap) for key in KEYS) < gap
    assert {jitter(key, 60, timedelta(milliseconds=1)) for key in KEYS} == {timedelta()}


def test_no_jitter_is_no_delay() -> None:
    assert jitter(b"occurrence", 0, None) == timedelta()
