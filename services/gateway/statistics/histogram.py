"""PURE: durations as the rollups keep them. Buckets are each a tenth wider than the one before, so that the middle of
one is at most 5 % from whatever lies in it (as in DDSketch, VLDB 2019). `duration_bucket` in Postgres is the other
half."""

import math
from collections.abc import Iterator, Sequence

WIDTH = 1.1
COUNT_BITS = 40


def percentile_us(histogram: Sequence[int], share: float) -> float | None:
    """The nearest rank, in microseconds; None for an empty histogram. `histogram`: entries in the order of their
    buckets, each a bucket in the upper bits and how many are in it in the lower ones."""
    counted = [*_unpacked(histogram)]
    rank = math.ceil(share * sum(runs for _, runs in counted))
    for bucket, runs in counted:
        rank -= runs
        if rank <= 0:
            return middle_us(bucket)
    return None


def middle_us(bucket: int) -> float:
    """Where a bucket's lower and upper end are equally far, by their share of it."""
    return 0.0 if bucket == 0 else 2 * WIDTH ** (bucket - 1) / (1 + WIDTH)


def _unpacked(histogram: Sequence[int]) -> Iterator[tuple[int, int]]:
    for entry in histogram:
        yield entry >> COUNT_BITS, entry & ((1 << COUNT_BITS) - 1)
