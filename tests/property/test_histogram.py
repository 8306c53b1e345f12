"""Percentiles of durations that are kept in buckets."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.statistics.histogram import COUNT_BITS, WIDTH, percentile_us

YEAR_US = 366 * 86_400 * 1_000_000
DURATIONS = st.lists(st.integers(0, YEAR_US) | st.integers(0, 5_000_000), min_size=1, max_size=200)


def bucket(us: int) -> int:
    """As `duration_bucket` does it in Postgres; a test of the statistics compares the two."""
    return 0 if us <= 0 else 1 + math.ceil(math.log(us) / math.log(WIDTH))


def histogram_of(durations: list[int]) -> list[int]:
    return [number << COUNT_BITS | runs for number, runs in sorted(Counter(map(bucket, durations)).items())]


@given(DURATIONS, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_five_percent_of_the_exact_one(durations: list[int], share: float) -> None:
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    told = percentile_us(histogram_of(durations), share)
    assert told is not None
    assert abs(told - exact) <= 0.05 * exact


def test_nothing_has_no_percentile() -> None:
    assert percentile_us([], 0.5) is None
