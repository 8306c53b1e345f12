"""Pauses that end by themselves."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from services.scheduler.resumer import Resumer
from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from tests.support.rows import make_task

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def make_paused(
    pool: asyncpg.Pool, until: datetime | None, expr: str = "* * * * *", max_runs: int | None = None
) -> UUID:
    task_id = await make_task(
        pool,
        NOON,
        schedule=("cron", expr),
        status="paused",
        status_note="lunch",
        paused_until=until,
        max_runs=max_runs,
    )
    await pool.execute("DELETE FROM schedule_cursor WHERE task_id = $1", task_id)
    return task_id


async def test_a_task_is_active_again_at_its_next_time_when_its_pause_ends(pool: asyncpg.Pool) -> None:
    task_id = await make_paused(pool, NOON)

    await Resumer(pool).run_once(NOON + timedelta(minutes=5, seconds=1))

    task = await pool.fetchrow("SELECT status, status_note, paused_until, schedule_rev, version FROM task")
    assert task is not None
    assert tuple(task) == ("active", None, None, 2, 2)
    cursor = await pool.fetchrow("SELECT task_id, schedule_rev, next_at FROM schedule_cursor")
    assert cursor is not None
    assert tuple(cursor) == (task_id, 2, NOON + timedelta(minutes=6))
    audit = await pool.fetchrow("SELECT actor_name, action, subject_id FROM audit_log")
    assert audit is not None
    assert tuple(audit) == ("scheduler", "task.resumed", str(task_id))


async def test_failures_before_the_pause_count_no_more(pool: asyncpg.Pool) -> None:
    await make_paused(pool, NOON)
    before = await pool.fetchval("SELECT active_since FROM task")

    await Resumer(pool).run_once(NOON + timedelta(minutes=5))

    assert await pool.fetchval("SELECT active_since FROM task") > before


async def test_a_pause_that_goes_on_is_left_alone(pool: asyncpg.Pool) -> None:
    await make_paused(pool, NOON + timedelta(seconds=1))
    await make_paused(pool, None)

    assert (await Resumer(pool).run_once(NOON)).tasks == 0
    assert await pool.fetchval("SELECT count(*) FROM task WHERE status = 'paused'") == 2


async def test_a_task_that_has_run_often_enough_is_exhausted(pool: asyncpg.Pool) -> None:
    task_id = await make_paused(pool, NOON, max_runs=1)
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source) "
        "SELECT gen_random_uuid(), id, agent_id, $1, 'succeeded', 'schedule' FROM task",
        NOON,
    )

    await Resumer(pool).run_once(NOON)

    cursor = await pool.fetchrow("SELECT next_at, runs_planned FROM schedule_cursor WHERE task_id = $1", task_id)
    assert cursor is not None
    assert tuple(cursor) == (None, 1)


async def test_a_schedule_that_cannot_be_computed_stays_paused_and_says_why(pool: asyncpg.Pool) -> None:
    bad = await make_paused(pool, NOON, expr="what is this")
    good = await make_paused(pool, NOON)

    await Resumer(pool).run_once(NOON)

    assert await pool.fetchval("SELECT schedule_error FROM task WHERE id = $1 AND status = 'paused'", bad)
    assert await pool.fetchval("SELECT status FROM task WHERE id = $1", good) == "active"
    assert (await Resumer(pool).run_once(NOON)).tasks == 0


async def test_a_task_that_is_being_changed_is_resumed_later(pool: asyncpg.Pool) -> None:
    task_id = await make_paused(pool, NOON)
    async with pool.acquire() as changing, changing.transaction():
        await changing.execute("SELECT FROM task WHERE id = $1 FOR UPDATE", task_id)
        assert (await Resumer(pool).run_once(NOON)).tasks == 0

    assert (await Resumer(pool).run_once(NOON)).tasks == 1


async def test_what_was_asked_to_be_skipped_stays_skipped_after_the_pause(pool: asyncpg.Pool) -> None:
    task_id = await make_paused(pool, NOON)
    skipped = NOON + timedelta(minutes=1)
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, skip_reason) "
        "SELECT $1, id, agent_id, $2, 'skipped', 'schedule', 'skipped_by_request' FROM task",
        occurrence_id(task_id, 1, skipped, AT_ITS_TIME),
        skipped,
    )

    await Resumer(pool).run_once(NOON)

    assert await pool.fetchval("SELECT id FROM task_run") == occurrence_id(task_id, 2, skipped, AT_ITS_TIME)
