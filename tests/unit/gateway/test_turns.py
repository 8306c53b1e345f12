"""However much one agent has computed, the others wait for one of its turns at most."""

import asyncio
import threading
from uuid import UUID

import pytest

from services.gateway.schedules.computing import Turns
from shared.vocabulary.faults import Unavailable
from tests.support.waiting import wait_until

BUSY, OTHER, THIRD = (UUID(int=number) for number in range(3))


class Held:
    """Computations that last until they are let go."""

    def __init__(self) -> None:
        self.begun = 0
        self._go = threading.Event()

    def compute(self) -> None:
        self.begun += 1
        self._go.wait(30)

    def end(self) -> None:
        self._go.set()


async def test_another_agent_is_answered_while_one_keeps_computing() -> None:
    turns, held = Turns(), Held()
    busy = [asyncio.create_task(turns.run(BUSY, held.compute)) for _ in range(5)]
    await wait_until(lambda: held.begun)
    assert await turns.run(OTHER, lambda: "answered") == "answered"
    assert held.begun == 1
    held.end()
    await asyncio.gather(*busy)
    assert held.begun == 5


async def test_who_would_wait_long_is_told_to_ask_again() -> None:
    turns, held = Turns(wait_seconds=0.05), Held()
    busy = [asyncio.create_task(turns.run(agent_id, held.compute)) for agent_id in (BUSY, OTHER)]
    await wait_until(lambda: held.begun == 2)
    for agent_id in (BUSY, THIRD):
        with pytest.raises(Unavailable) as refusal:
            await turns.run(agent_id, held.compute)
        assert refusal.value.retry_after_seconds == 2
    held.end()
    await asyncio.gather(*busy)
    assert await asyncio.gather(*(turns.run(agent_id, lambda: 1) for agent_id in (BUSY, OTHER, THIRD))) == [1, 1, 1]


async def test_a_computation_that_fails_gives_its_turn_back() -> None:
    turns = Turns()
    for _ in range(4):
        with pytest.raises(ZeroDivisionError):
            await turns.run(BUSY, lambda: 1 // 0)
    assert await turns.run(BUSY, lambda: 1) == 1
