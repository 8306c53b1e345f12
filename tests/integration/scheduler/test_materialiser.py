"""The materialiser, seen through the rows that the executor and the gateway read next."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from services.scheduler.bell import Ringer
from services.scheduler.materialiser import Materialiser
from services.scheduler.settings import SchedulerSettings
from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from tests.support.rows import make_due_work, make_task

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.fixture
def materialiser(pool: asyncpg.Pool, ringer: Ringer, settings: SchedulerSettings) -> Materialiser:
    return Materialiser(pool, ringer, settings)


async def test_an_occurrence_within_the_horizon_becomes_due_work(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    task_id = await make_task(pool, NOON)

    done = await materialiser.run_once(NOON - timedelta(seconds=20))

    row = await pool.fetchrow("SELECT task_id, scheduled_for, run_at, source, attempt FROM due_work")
    assert row is not None
    assert tuple(row) == (task_id, NOON, NOON, "schedule", 0)
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == NOON + timedelta(minutes=1)
    assert (done.due, done.skipped, done.bad) == (1, 0, 0)


async def test_an_occurrence_beyond_the_horizon_stays_in_the_cursor(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    await make_task(pool, NOON)

    await materialiser.run_once(NOON - timedelta(seconds=31))

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == NOON


async def test_a_repeated_round_makes_nothing_twice(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    task_id = await make_task(pool, NOON)
    await materialiser.run_once(NOON)
    await pool.execute("UPDATE schedule_cursor SET next_at = $1 WHERE task_id = $2", NOON, task_id)

    await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 1


async def test_schedulers_at_once_make_each_occurrence_once(
    pool: asyncpg.Pool, ringer: Ringer, settings: SchedulerSettings
) -> None:
    for _ in range(60):
        await make_task(pool, NOON)
    small = SchedulerSettings(database_url=settings.database_url, redis_url=settings.redis_url, materialise_batch=7)

    async def drain() -> int:
        made = 0
        scheduler = Materialiser(pool, ringer, small)
        while (done := await scheduler.run_once(NOON)).due or done.is_backlog_left:
            made += done.due
        return made

    assert sum(await asyncio.gather(*(drain() for _ in range(4)))) == 60
    assert await pool.fetchval("SELECT count(DISTINCT task_id) FROM due_work") == 60


async def test_a_bad_schedule_is_marked_and_delays_nobody(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    bad = await make_task(pool, NOON - timedelta(seconds=1), schedule=("cron", "what is this"))
    good = await make_task(pool, NOON)

    done = await materialiser.run_once(NOON)

    assert (done.due, done.bad) == (1, 1)
    assert await pool.fetchval("SELECT task_id FROM due_work") == good
    assert await pool.fetchval("SELECT schedule_error FROM task WHERE id = $1", bad)
    pause = await pool.fetchval("SELECT next_at - now() FROM schedule_cursor WHERE task_id = $1", bad)
    assert timedelta(minutes=59) < pause <= timedelta(hours=1)


async def test_after_an_outage_the_latest_missed_runs_and_the_others_are_rows_with_a_reason(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    await make_task(pool, NOON)

    await materialiser.run_once(NOON + timedelta(minutes=5, seconds=15))

    due = await pool.fetch("SELECT scheduled_for FROM due_work ORDER BY 1")
    assert [row[0] for row in due] == [NOON + timedelta(minutes=5)]
    skipped = await pool.fetch("SELECT scheduled_for, status, skip_reason, success FROM task_run ORDER BY 1")
    assert [tuple(row) for row in skipped] == [
        (NOON + timedelta(minutes=minute), "skipped", "misfire_coalesced", None) for minute in range(5)
    ]


async def test_a_long_outage_is_caught_up_over_several_rounds(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    await make_task(pool, NOON, schedule=("cron", "* * * * *"))
    now = NOON + timedelta(minutes=1200)
    while (await materialiser.run_once(now)).is_backlog_left:
        pass

    assert await pool.fetchval("SELECT count(*) FROM task_run WHERE status = 'skipped'") == 1199
    due = await pool.fetchval("SELECT array_agg(scheduled_for ORDER BY scheduled_for) FROM due_work")
    assert due == [now - timedelta(minutes=1), now], "the latest that was missed, and the one that is on time"
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == now + timedelta(minutes=1)


async def test_an_exhausted_schedule_leaves_an_empty_cursor(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    await make_task(pool, NOON, schedule=("once", NOON.isoformat()))

    await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 1
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") is None


async def test_an_occurrence_that_has_its_run_already_is_not_made_due(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    """It was skipped by name, or snoozed and executed, before its time came."""
    task_id = await make_task(pool, NOON)
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source) "
        "SELECT $1, id, agent_id, $2, 'skipped', 'schedule' FROM task",
        occurrence_id(task_id, 1, NOON, AT_ITS_TIME),
        NOON,
    )

    await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == NOON + timedelta(minutes=1)


async def test_a_blackout_is_passed_over(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    await make_task(pool, NOON, exclusions=["2026-05-04"])

    await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == datetime(2026, 5, 5, tzinfo=UTC)


async def test_a_schedule_that_was_mended_goes_on_where_it_stood(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    await make_task(pool, NOON, schedule=("cron", "what is this"))
    await materialiser.run_once(NOON)
    await pool.execute("UPDATE task SET schedule_expr = '* * * * *'")
    await pool.execute("UPDATE schedule_cursor SET next_at = $1", NOON + timedelta(minutes=3))

    await materialiser.run_once(NOON + timedelta(minutes=3))

    seen = await pool.fetch(
        "SELECT scheduled_for FROM due_work UNION ALL SELECT scheduled_for FROM task_run ORDER BY 1"
    )
    assert [row[0] for row in seen] == [NOON + timedelta(minutes=minute) for minute in range(4)]
    assert await pool.fetchval("SELECT schedule_error FROM task") is None
    assert await pool.fetchval("SELECT stood_at FROM schedule_cursor") is None


async def test_an_occurrence_that_waits_for_another_time_is_not_recorded_as_missed(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    """It was snoozed ahead of the cursor; then nobody materialised for a while."""
    task_id = await make_task(pool, NOON)
    later = NOON + timedelta(minutes=9)
    await make_due_work(pool, task_id, later, id=occurrence_id(task_id, 1, NOON, AT_ITS_TIME), scheduled_for=NOON)

    await materialiser.run_once(NOON + timedelta(minutes=5, seconds=15))

    assert await pool.fetchval("SELECT count(*) FROM task_run WHERE scheduled_for = $1", NOON) == 0
    assert await pool.fetchval("SELECT run_at FROM due_work WHERE scheduled_for = $1", NOON) == later


async def test_a_cursor_of_another_revision_than_its_task_waits_for_the_next_round(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    """The lock can see a change that the join cannot see yet."""
    await make_task(pool, NOON, schedule_rev=2)

    await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0
    assert await pool.fetchval("SELECT next_at FROM schedule_cursor") == NOON


async def test_a_cursor_that_cannot_be_read_delays_nobody(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    """A newer version may have written the word."""
    strange = await make_task(pool, NOON, misfire_policy="some")
    ordinary = await make_task(pool, NOON)

    done = await materialiser.run_once(NOON)

    assert (done.due, done.bad) == (1, 1)
    assert await pool.fetchval("SELECT task_id FROM due_work") == ordinary
    assert await pool.fetchval("SELECT schedule_error FROM task WHERE id = $1", strange)


async def test_a_cursor_that_another_scheduler_holds_is_passed_over(
    pool: asyncpg.Pool, materialiser: Materialiser
) -> None:
    held = await make_task(pool, NOON)
    free = await make_task(pool, NOON)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM schedule_cursor WHERE task_id = $1 FOR UPDATE", held)
        await materialiser.run_once(NOON)

    assert await pool.fetchval("SELECT array_agg(task_id) FROM due_work") == [free]


async def test_a_task_is_given_no_more_runs_than_it_asked_for(pool: asyncpg.Pool, materialiser: Materialiser) -> None:
    await make_task(pool, NOON, max_runs=2)
    for minute in range(4):
        await materialiser.run_once(NOON + timedelta(minutes=minute))

    assert await pool.fetchval("SELECT count(*) FROM due_work") == 2
    cursor = await pool.fetchrow("SELECT next_at, runs_planned FROM schedule_cursor")
    assert cursor is not None
    assert tuple(cursor) == (None, 2)
