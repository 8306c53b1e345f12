import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.limits.gcra import MICROSECONDS, Rate, Taken, Wish, remaining, take

RATES = st.builds(Rate, st.integers(1, 10_000_000), st.sampled_from([1, 60, 300, 3600]))


def _one(debt_us: int, rate: Rate, cost: int = 1, at_most: int | None = None) -> Taken:
    (taken,) = take([debt_us], [Wish(rate, cost, cost if at_most is None else at_most)])
    return taken


@given(RATES)
def test_all_cells_can_be_had_at_once_and_then_no_more(rate: Rate) -> None:
    taken = _one(0, rate, rate.limit)
    assert (taken.granted, remaining(taken.debt_us, rate)) == (rate.limit, 0)
    assert _one(taken.debt_us, rate).granted == 0


@given(RATES, st.integers(0, 4_000 * MICROSECONDS), st.integers(1, 1000))
def test_who_waits_as_long_as_it_was_told_is_granted_and_not_sooner(rate: Rate, debt_us: int, cost: int) -> None:
    cost = min(cost, rate.limit)
    refused = _one(debt_us, rate, cost)
    if refused.granted:
        return
    assert _one(refused.debt_us - refused.wait_us, rate, cost).granted == cost
    assert _one(refused.debt_us - refused.wait_us + 1, rate, cost).granted == 0


@given(RATES.filter(lambda rate: rate.limit < 500), st.lists(st.integers(0, 20 * MICROSECONDS), max_size=200))
def test_no_period_sees_more_than_what_was_saved_up_and_what_came_meanwhile(rate: Rate, pauses_us: list[int]) -> None:
    now, clear_at, granted_at = 0, 0, []
    for pause_us in pauses_us:
        now += pause_us
        taken = _one(max(0, clear_at - now), rate)
        clear_at = now + taken.debt_us
        granted_at.extend([now] * taken.granted)
    for start in granted_at:
        within = sum(start <= at < start + rate.period_seconds * MICROSECONDS for at in granted_at)
        assert within <= 2 * rate.limit


def test_a_rate_is_never_faster_than_its_limit() -> None:
    assert Rate(7, 60).interval_us * 7 >= 60 * MICROSECONDS


def test_as_many_as_there_are_are_granted_beyond_the_cost() -> None:
    rate = Rate(10, 10)
    assert _one(0, rate, 1, 4) == Taken(4, 4 * MICROSECONDS)
    assert _one(8 * MICROSECONDS, rate, 1, 4) == Taken(2, 10 * MICROSECONDS)


def test_several_buckets_give_together_or_none_does() -> None:
    wide, narrow = Wish(Rate(100, 100)), Wish(Rate(1, 100))
    assert [taken.granted for taken in take([0, 0], [wide, narrow])] == [1, 1]
    full = 100 * MICROSECONDS
    assert take([5, full], [wide, narrow]) == [Taken(0, 5), Taken(0, full, full)]


@pytest.mark.parametrize(("debt_us", "left_us"), [(5_000_000, 3_000_000), (1_000_000, 0), (0, 0)])
def test_what_is_given_back_lessens_the_debt(debt_us: int, left_us: int) -> None:
    assert _one(debt_us, Rate(10, 10), -2).debt_us == left_us


def test_a_clock_that_was_set_back_locks_nobody_out_for_longer_than_a_period() -> None:
    assert _one(10**15, Rate(10, 10)) == Taken(0, 10 * MICROSECONDS, MICROSECONDS)
