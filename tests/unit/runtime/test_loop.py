"""A part in its loop: woken, supervised, and stopped at any moment."""

import asyncio

import pytest

from shared.runtime.loop import Part, Running


class Pausing:
    pause_seconds = 60.0


class Counting(Part):
    name = "counting"

    def __init__(self) -> None:
        self.rounds = 0

    async def run_once(self) -> Pausing:
        self.rounds += 1
        return Pausing()


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.mark.parametrize("between", range(6))
async def test_it_stops_however_soon_after_it_was_woken(between: int) -> None:
    """On Python 3.11 `asyncio.wait_for` would swallow the cancellation in some of these turns."""
    running = Running(Counting())
    await running.start()
    await turns(3)

    running.wake()
    await turns(between)

    await asyncio.wait_for(running.stop(), 5)


async def test_it_stops_a_round_that_swallows_a_cancellation() -> None:
    class Stubborn(Counting):
        async def run_once(self) -> Pausing:
            self.rounds += 1
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if self.rounds > 1:
                    raise
            return Pausing()

    running = Running(Stubborn())
    await running.start()
    await turns(3)

    await asyncio.wait_for(running.stop(), 5)


async def test_a_round_that_must_not_be_cut_short_is_finished() -> None:
    class Careful(Counting):
        finish_seconds = 5.0

        def __init__(self) -> None:
            super().__init__()
            self.may_finish = asyncio.Event()
            self.is_finished = False

        async def run_once(self) -> Pausing:
            await self.may_finish.wait()
            self.is_finished = True
            return Pausing()

    part = Careful()
    running = Running(part)
    await running.start()
    stopping = asyncio.create_task(running.stop())
    await turns(3)
    part.may_finish.set()
    await stopping

    assert part.is_finished


async def test_a_round_that_fails_is_not_the_last() -> None:
    class Failing(Counting):
        async def run_once(self) -> Pausing:
            self.rounds += 1
            raise ValueError("this time")

    part = Failing()
    running = Running(part)
    await running.start()
    await turns(3)
    running.wake()
    await turns(5)
    await running.stop()

    assert part.rounds == 2
