"""When a receiver that keeps silent is called again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.executor.tools.breaker import FAILURES_IN_A_ROW, TRIAL_SECONDS, Breaker, Passage

KEY = ("https", "example.com", 443)


def passage_of(breaker: Breaker, now: float, key: object = KEY) -> Passage:
    entered = breaker.enter(key, now)
    assert isinstance(entered, Passage)
    return entered


def fail(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(passage_of(breaker, now), now)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    fail(breaker, now, FAILURES_IN_A_ROW)
    return breaker


def test_it_opens_after_twenty_failures_in_a_row() -> None:
    breaker = Breaker()
    fail(breaker, 0, FAILURES_IN_A_ROW - 1)
    passage_of(breaker, 0)
    fail(breaker, 0)
    assert breaker.enter(KEY, 0) == 5
    assert breaker.enter(KEY, 4) == 1


def test_one_answer_ends_the_row() -> None:
    breaker = Breaker()
    for _ in range(3):
        fail(breaker, 0, FAILURES_IN_A_ROW - 1)
        breaker.answered(passage_of(breaker, 0))
    passage_of(breaker, 0)
    assert len(breaker) == 0


def test_after_its_time_one_call_tries_and_the_others_wait_for_it() -> None:
    breaker = opened()
    assert passage_of(breaker, 5).is_trial
    assert breaker.enter(KEY, 5) == 5
    assert breaker.enter(KEY, 6) == 5


def test_a_trial_that_is_answered_closes_the_circuit() -> None:
    breaker = opened()
    breaker.answered(passage_of(breaker, 5))
    assert not passage_of(breaker, 5).is_trial


def test_each_failed_trial_doubles_the_time_up_to_a_minute() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        wait = breaker.enter(KEY, now)
        assert isinstance(wait, float)
        waits.append(wait)
        now += wait
        fail(breaker, now)
    assert waits == [5, 10, 20, 40, 60, 60]


def test_failures_of_calls_that_began_before_it_opened_change_nothing() -> None:
    breaker = Breaker()
    under_way = [passage_of(breaker, 0) for _ in range(50)]
    for passage in under_way:
        breaker.failed(passage, 1)
    assert breaker.enter(KEY, 1) == 5
    assert passage_of(breaker, 6).is_trial


def test_an_answer_to_a_call_that_began_before_it_opened_closes_it() -> None:
    breaker = Breaker()
    slow = passage_of(breaker, 0)
    fail(breaker, 0, FAILURES_IN_A_ROW)
    breaker.answered(slow)
    passage_of(breaker, 0)


def test_a_trial_that_was_stopped_leaves_its_place_to_the_next() -> None:
    breaker = opened()
    breaker.abandoned(passage_of(breaker, 5), 6)
    assert passage_of(breaker, 6).is_trial


def test_a_trial_that_never_ends_is_replaced() -> None:
    breaker = opened()
    passage_of(breaker, 5)
    assert isinstance(breaker.enter(KEY, 5 + TRIAL_SECONDS - 1), float)
    assert passage_of(breaker, 5 + TRIAL_SECONDS).is_trial


def test_circuits_are_apart_from_one_another() -> None:
    breaker = opened()
    for other in (("http", *KEY[1:]), (*KEY[:2], 8443), ("https", "other.example", 443)):
        passage_of(breaker, 0, other)


def test_it_remembers_the_latest_failures_only() -> None:
    breaker = Breaker(circuits=100)
    for number in range(1000):
        breaker.failed(passage_of(breaker, 0, number), 0)
    assert len(breaker) == 100


@given(st.lists(st.tuples(st.sampled_from(["call", "answer", "fail", "stop"]), st.floats(0, 30))))
def test_never_more_than_one_trial_and_never_a_wait_of_more_than_a_minute(acts: list[tuple[str, float]]) -> None:
    breaker, now = opened(), 0.0
    under_way: list[Passage] = []
    for act, seconds in acts:
        now += seconds
        if act == "call":
            entered = breaker.enter(KEY, now)
            if isinstance(entered, Passage):
                under_way.append(entered)
            else:
                assert 0 < entered <= 60
        elif under_way and act == "answer":
            breaker.answered(under_way.pop())
        elif under_way and act == "fail":
            breaker.failed(under_way.pop(), now)
        elif under_way:
            breaker.abandoned(under_way.pop(), now)
    assert len(breaker) <= 1


@pytest.mark.parametrize("now", [0.0, 1e9])
def test_who_never_failed_costs_no_memory(now: float) -> None:
    breaker = Breaker()
    for number in range(100):
        breaker.answered(passage_of(breaker, now, number))
    assert len(breaker) == 0
