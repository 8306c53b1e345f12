"""Leases that are renewed, lost, or not to be trusted any longer."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.executor.claimer import SQL, Claimer
from services.executor.lease import Held, LeaseKeeper, StopReason
from services.executor.outcome import Failed, HandedBack, decide
from services.executor.recorder import Finished, Recorder
from services.executor.settings import ExecutorSettings
from services.executor.work import Work
from shared.runtime.settings import SettingsFault
from shared.vocabulary.states import ErrorClass
from tests.integration.executor.conftest import TOKEN_KEY
from tests.integration.executor.test_claim import Shelf
from tests.support.rows import make_due_work, make_task
from tests.support.waiting import wait_until

COME_BACK_LATER = Failed(ErrorClass.HTTP_5XX, "busy", is_retryable=True, retry_after_seconds=3600)


@pytest.fixture
def keeper(pool: asyncpg.Pool) -> LeaseKeeper:
    return LeaseKeeper(pool, lease_seconds=30, renew_seconds=10)


@pytest.fixture
async def work(pool: asyncpg.Pool) -> Work:
    await make_due_work(pool, await make_task(pool, None), datetime.now(UTC))
    return await claim(pool)


async def claim(pool: asyncpg.Pool) -> Work:
    (work,) = await Claimer(pool, Shelf(), instance="one", lease_seconds=30, batch=9).claim(9)
    return work


def hold(keeper: LeaseKeeper, work: Work, claimed_at: float | None = None) -> Held:
    held = keeper.hold(work, time.monotonic() if claimed_at is None else claimed_at)
    held.job = asyncio.create_task(_for_ever())
    return held


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def test_a_renewal_that_crosses_a_retry_leaves_its_time_alone(
    pool: asyncpg.Pool, keeper: LeaseKeeper, work: Work
) -> None:
    hold(keeper, work)
    recorder = Recorder(pool, lambda _recorded: None)
    await recorder.record([Finished(work, decide(COME_BACK_LATER, work), None)])

    await keeper.run_once()

    wait = await pool.fetchval("SELECT available_at - now() FROM due_work")
    assert wait > timedelta(minutes=59)


async def test_a_hand_back_that_is_written_twice_counts_once(pool: asyncpg.Pool, work: Work) -> None:
    recorder = Recorder(pool, lambda _recorded: None)
    finished = Finished(work, decide(HandedBack(), work), None)

    assert [await recorder.record([finished]) for _ in range(2)] == [0, 1]
    assert await pool.fetchval("SELECT attempt FROM due_work") == 0


async def test_an_attempt_whose_work_was_claimed_again_here_is_stopped(
    pool: asyncpg.Pool, keeper: LeaseKeeper, work: Work
) -> None:
    older = hold(keeper, work)
    await pool.execute("UPDATE due_work SET locked_until = now() - interval '1 s'")
    newer = hold(keeper, await claim(pool))

    await keeper.run_once()

    assert older.stop_reason is StopReason.LEASE_LOST
    assert newer.stop_reason is None


async def test_what_was_recorded_is_not_called_lost(keeper: LeaseKeeper, work: Work) -> None:
    held = hold(keeper, work)
    keeper.forget([work])

    assert (await keeper.run_once()).lost == 0
    assert held.stop_reason is None


async def test_a_silent_database_does_not_keep_trust_alive(pool: asyncpg.Pool, keeper: LeaseKeeper, work: Work) -> None:
    held = hold(keeper, work, claimed_at=time.monotonic() - 25)
    async with pool.acquire() as silent, silent.transaction():
        await silent.execute("SELECT FROM due_work FOR UPDATE")
        await wait_until(lambda: _is_stopped(keeper, held))
    await keeper.stop()

    assert held.stop_reason is StopReason.LEASE_LOST


async def _is_stopped(keeper: LeaseKeeper, held: Held) -> bool:
    await keeper.run_once()
    return held.stop_reason is not None


def test_a_lease_that_cannot_be_renewed_in_time_is_refused() -> None:
    settings = {"PAO_DATABASE_URL": "postgresql://", "PAO_REDIS_URL": "redis://", "PAO_LEASE_SECONDS": "5"}
    settings["PAO_TOKEN_KEY"] = TOKEN_KEY

    with pytest.raises(SettingsFault, match="PAO_LEASE_SECONDS"):
        ExecutorSettings.read(settings)


async def test_renewal_names_the_fence_that_it_renewed(pool: asyncpg.Pool, work: Work) -> None:
    rows = await pool.fetch(SQL["renew_leases"].sql, [work.id], [work.fence], 30.0)

    assert [tuple(row) for row in rows] == [(work.id, work.fence, False)]
