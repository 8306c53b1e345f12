"""Bells at the moment work is due, and tasks that come to their end."""

import time
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from redis.asyncio import Redis

from services.scheduler.bell import BELLS_AT_ONCE, Ringer, due_at
from services.scheduler.completer import Completer
from shared.streams.doorbell import Bell
from tests.support.rows import make_due_work, make_task

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def bells(redis: Redis) -> int:
    return int(await redis.xlen(Bell.DUE_WORK))


async def test_a_moment_that_has_come_is_rung_once(ringer: Ringer, redis: Redis) -> None:
    ringer.set([time.monotonic() - 0.1])

    await ringer.run_once()
    await ringer.run_once()

    assert await bells(redis) == 1


async def test_a_moment_to_come_is_waited_for(ringer: Ringer, redis: Redis) -> None:
    ringer.set([time.monotonic() + 0.5])

    rung = await ringer.run_once()

    assert await bells(redis) == 0
    assert 0 < rung.pause_seconds <= 0.505


@pytest.mark.parametrize(("work", "expected"), [(1, 1), (50, 1), (51, 2), (5000, BELLS_AT_ONCE)])
async def test_there_are_as_many_bells_as_batches_to_fetch(
    ringer: Ringer, redis: Redis, work: int, expected: int
) -> None:
    ringer.set([time.monotonic() - 0.1] * work)

    await ringer.run_once()

    assert await bells(redis) == expected


async def test_no_bell_rings_before_its_time(ringer: Ringer) -> None:
    now = time.monotonic()
    ringer.set([now + 0.9])

    rung = await ringer.run_once()

    assert now + 0.9 <= time.monotonic() + rung.pause_seconds


async def test_a_ringer_survives_redis_being_away() -> None:
    async with Redis.from_url("redis://127.0.0.1:1/0") as away:
        ringer = Ringer(away)
        ringer.set([time.monotonic() - 0.1])

        rung = await ringer.run_once()

    assert rung.bells == 1


def test_the_moment_is_counted_from_when_the_database_was_read() -> None:
    assert due_at(NOON + timedelta(seconds=7), NOON, 100.0) == 107.0


async def test_a_task_is_completed_when_its_last_occurrence_has_an_outcome(pool: asyncpg.Pool) -> None:
    task_id = await make_task(pool, None)
    await make_due_work(pool, task_id, NOON)
    completer = Completer(pool)

    assert (await completer.run_once()).tasks == 0
    await pool.execute("DELETE FROM due_work")
    assert (await completer.run_once()).tasks == 1

    assert await pool.fetchval("SELECT status FROM task") == "completed"
    assert await pool.fetchval("SELECT count(*) FROM schedule_cursor") == 0
    assert await pool.fetchval("SELECT array_agg(action) FROM audit_log") == ["task.completed"]


async def test_a_schedule_that_still_yields_is_not_completed(pool: asyncpg.Pool) -> None:
    await make_task(pool, NOON)

    assert (await Completer(pool).run_once()).tasks == 0


async def test_a_task_that_is_being_changed_is_completed_later(pool: asyncpg.Pool) -> None:
    task_id = await make_task(pool, None)
    async with pool.acquire() as changing, changing.transaction():
        await changing.execute("UPDATE task SET title = 'new' WHERE id = $1", task_id)
        assert (await Completer(pool).run_once()).tasks == 0

    assert (await Completer(pool).run_once()).tasks == 1
