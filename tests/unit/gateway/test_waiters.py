import pytest

from services.gateway.inbox.waiters import Waiters
from shared.vocabulary.faults import TooManyRequests
from shared.vocabulary.ids import uuid7
from tests.unit.gateway.test_task_decisions import NOW

ANA, BOB = uuid7(NOW), uuid7(NOW)


def test_one_message_wakes_the_one_who_waits_longest_and_nobody_of_another_agent() -> None:
    waiters = Waiters()
    with waiters.enter(ANA) as first, waiters.enter(ANA) as second, waiters.enter(BOB) as other:
        waiters.wake(ANA)
        assert [each.is_woken.is_set() for each in (first, second, other)] == [True, False, False]
        waiters.wake(ANA)
        assert second.is_woken.is_set()


def test_who_is_full_is_passed_over_until_there_is_room() -> None:
    waiters = Waiters()
    with waiters.enter(ANA) as full, waiters.enter(ANA) as second:
        full.is_full = True
        waiters.wake(ANA)
        assert (full.is_woken.is_set(), second.is_woken.is_set()) == (False, True)
        waiters.make_room(ANA)
        assert full.is_woken.is_set()


def test_who_leaves_before_looking_wakes_the_next() -> None:
    waiters = Waiters()
    with waiters.enter(ANA) as second_to_come:
        pass
    with waiters.enter(ANA) as first:
        entered = waiters.enter(ANA)
        second = entered.__enter__()
        waiters.wake(ANA)
        assert not second.is_woken.is_set()
    assert second.is_woken.is_set()
    entered.__exit__(None, None, None)
    assert waiters.agents == []
    assert not second_to_come.is_woken.is_set()
    assert first.is_woken.is_set()


def test_there_is_room_for_so_many_of_one_agent_and_so_many_in_all() -> None:
    waiters = Waiters(per_agent=1, in_all=2)
    with waiters.enter(ANA):
        with pytest.raises(TooManyRequests), waiters.enter(ANA):
            raise AssertionError
        with waiters.enter(BOB), pytest.raises(TooManyRequests):
            waiters.check_room(uuid7(NOW))
    waiters.check_room(ANA)


async def test_after_the_end_nobody_waits() -> None:
    waiters = Waiters()
    with waiters.enter(ANA) as waiting:
        waiters.close()
        await waiting.woken(3600)
        await waiting.woken(3600)
        assert waiting.is_over
    with waiters.enter(ANA) as late:
        assert late.is_over
