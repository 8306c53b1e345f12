from uuid import UUID

import pytest

from services.gateway.http.streaming import Sleeper
from services.gateway.live.audience import Audience, Places
from shared.vocabulary.faults import TooManyRequests

ANA, BOB, EVE = UUID(int=1), UUID(int=2), UUID(int=3)


def test_there_is_room_for_so_many_of_one_agent_and_so_many_in_all() -> None:
    places = Places(per_agent=1, in_all=2)
    with places.take(ANA):
        with pytest.raises(TooManyRequests) as refused:
            places.check(ANA)
        assert (refused.value.error_code, refused.value.retry_after_seconds) == ("too_many_streams", 5)
        with places.take(BOB), pytest.raises(TooManyRequests), places.take(EVE):
            raise AssertionError
    places.check(ANA)
    assert places.taken == 0


async def test_after_the_end_nobody_follows() -> None:
    audience: Audience[Sleeper] = Audience()
    early, late = Sleeper(), Sleeper()
    with audience.enter(early):
        await audience.gathered()
        audience.close()
        assert early.is_over
        with audience.enter(late):
            assert late.is_over
    assert len(audience) == 0
