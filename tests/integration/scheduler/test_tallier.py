"""Each run that reaches its outcome is counted once, whoever writes it and whatever becomes of the scheduler."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.scheduler.tallier import Tallier
from shared.database.statements import load_statements
from shared.vocabulary.ids import uuid7
from tests.support.rows import make_due_work, make_task
from tests.support.runs import lease_run

QUEUE = load_statements("services.executor", "sql/queue.sql")
LIMITS = load_statements("services.executor", "sql/limits.sql")
CANCELING = load_statements("shared.database", "sql/canceling.sql")
CURSORS = load_statements("services.scheduler", "sql/cursors.sql")
PAUSES = load_statements("services.scheduler", "sql/pauses.sql")
EVERYTHING = UUID(int=(1 << 128) - 1)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
AT_ONCE = timedelta(0)


async def _finished(
    pool: asyncpg.Pool,
    task_id: UUID,
    agent_id: UUID,
    at: datetime,
    status: str = "succeeded",
    *,
    took: timedelta | None = timedelta(seconds=1),
) -> UUID:
    """A run of nominal time `at` that began then; `took` None: it never began."""
    run_id = uuid7(at)
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, started_at, finished_at) "
        "VALUES ($1, $2, $3, $4, $5, 'schedule', $6, $7)",
        run_id,
        task_id,
        agent_id,
        at,
        status,
        None if took is None else at,
        at + (took or AT_ONCE),
    )
    return run_id


async def _counts(pool: asyncpg.Pool, subject_id: UUID, hours: int = 1) -> dict[str, int]:
    """What the rollups say of a subject, without what is zero."""
    row = await pool.fetchrow(
        "SELECT sum(succeeded)::int AS succeeded, sum(failed)::int AS failed, sum(dead)::int AS dead, "
        "sum(canceled)::int AS canceled, sum(skipped)::int AS skipped, sum(expired)::int AS expired "
        "FROM run_rollup WHERE subject_id = $1 AND hours = $2",
        subject_id,
        hours,
    )
    assert row is not None
    return {name: count for name, count in row.items() if count}


async def _record(pool: asyncpg.Pool, run_id: UUID, status: str, success: bool | None) -> None:
    """As an executor records an outcome."""
    fence = await pool.fetchval("SELECT fence FROM due_work WHERE id = $1", run_id)
    outcome = [[run_id], [fence], [status], [success], [None], [False], [None], [None], [None], [None], [None], [None]]
    steps: list[list[Any]] = [[] for _ in range(11)]
    rows = await pool.fetch(QUEUE["record_outcomes"].sql, *outcome, *steps, [False])
    assert [row["id"] for row in rows] == [run_id]


async def _succeeds(pool: asyncpg.Pool, run_id: UUID) -> None:
    await _record(pool, run_id, "succeeded", True)


async def _fails(pool: asyncpg.Pool, run_id: UUID) -> None:
    await _record(pool, run_id, "failed", False)


async def _dies(pool: asyncpg.Pool, run_id: UUID) -> None:
    await _record(pool, run_id, "dead", False)


async def _is_canceled(pool: asyncpg.Pool, run_id: UUID) -> None:
    await pool.execute("UPDATE due_work SET locked_by = NULL, locked_until = NULL WHERE id = $1", run_id)
    await pool.execute("UPDATE task_run SET cancel_requested_at = now() WHERE id = $1", run_id)
    await pool.fetch(CANCELING["cancel_released"].sql, [run_id])


async def _expires(pool: asyncpg.Pool, run_id: UUID) -> None:
    await pool.execute(LIMITS["settle_unstarted"].sql, [run_id], ["expired"], [None], [None])


async def _is_skipped(pool: asyncpg.Pool, run_id: UUID) -> None:
    await pool.execute(LIMITS["settle_unstarted"].sql, [run_id], ["skipped"], ["overlap"], [None])


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (_succeeds, "succeeded"),
        (_fails, "failed"),
        (_dies, "dead"),
        (_is_canceled, "canceled"),
        (_expires, "expired"),
        (_is_skipped, "skipped"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
async def test_a_run_is_counted_however_it_ends(pool: asyncpg.Pool, end: Callable[..., Any], counted: str) -> None:
    task_id = await make_task(pool, None)
    run_id = await make_due_work(pool, task_id, datetime.now(UTC))
    agent_id = await pool.fetchval("SELECT agent_id FROM task WHERE id = $1", task_id)
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source) "
        "VALUES ($1, $2, $3, now(), 'queued', 'schedule')",
        run_id,
        task_id,
        agent_id,
    )
    await lease_run(pool, run_id)
    await end(pool, run_id)
    folded = await Tallier(pool).run_once()
    assert folded.runs == 1
    for subject_id in (task_id, agent_id, EVERYTHING):
        assert await _counts(pool, subject_id) == {counted: 1}


async def test_an_occurrence_that_is_recorded_as_missed_is_counted(pool: asyncpg.Pool) -> None:
    task_id, agent_id = await make_task(pool, None), uuid4()
    ids = [uuid7(NOON), uuid7(NOON)]
    await pool.execute(
        CURSORS["record_skipped"].sql, ids, [task_id] * 2, [agent_id] * 2, [NOON] * 2, ["misfire_too_old"] * 2
    )
    await Tallier(pool).run_once()
    assert await _counts(pool, task_id) == {"skipped": 2}


async def test_a_run_that_goes_on_is_not_counted(pool: asyncpg.Pool) -> None:
    task_id = await make_task(pool, None)
    await make_due_work(pool, task_id, datetime.now(UTC) - timedelta(seconds=1))
    await pool.fetch(QUEUE["claim"].sql, 10, "an executor", 30.0, None)
    assert await pool.fetchval("SELECT status FROM task_run WHERE task_id = $1", task_id) == "running"
    assert (await Tallier(pool).run_once()).runs == 0


async def test_a_finished_run_that_is_changed_or_renamed_is_not_counted_again(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    run_id = await _finished(pool, task_id, agent_id, NOON, "skipped", took=None)
    await pool.execute("UPDATE task_run SET trace_id = 'changed' WHERE id = $1", run_id)
    await pool.execute(PAUSES["rename_runs"].sql, [run_id], [uuid7(NOON)])
    # Into another partition, which Postgres does by a deletion and an insertion.
    await pool.execute("UPDATE task_run SET id = $2 WHERE task_id = $1", task_id, uuid7(datetime.now(UTC)))
    await Tallier(pool).run_once()
    assert await _counts(pool, task_id) == {"skipped": 1}


async def test_a_run_that_is_removed_stays_counted(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    await _finished(pool, task_id, agent_id, NOON)
    await pool.execute("DELETE FROM task_run")
    await Tallier(pool).run_once()
    assert await _counts(pool, task_id) == {"succeeded": 1}


async def test_two_folds_at_once_count_each_run_once(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    for minute in range(30):
        await _finished(pool, task_id, agent_id, NOON + timedelta(minutes=minute))
    talliers = [Tallier(pool, batch=5) for _ in range(4)]
    while await pool.fetchval("SELECT count(*) FROM run_tally"):
        await asyncio.gather(*(tallier.run_once() for tallier in talliers))
    assert await _counts(pool, task_id) == {"succeeded": 30}
    assert await _counts(pool, EVERYTHING) == {"succeeded": 30}


async def test_who_comes_second_waits_for_nobody(pool: asyncpg.Pool) -> None:
    await _finished(pool, uuid4(), uuid4(), NOON)
    async with pool.acquire() as first, first.transaction():
        await first.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('fold_tallies'))")
        assert (await Tallier(pool).run_once()).runs == 0
    assert (await Tallier(pool).run_once()).runs == 1


async def test_a_fold_that_dies_half_way_counts_nothing(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    await _finished(pool, task_id, agent_id, NOON)
    await pool.execute("ALTER TABLE run_rollup_mark RENAME TO away")
    with pytest.raises(asyncpg.UndefinedTableError):
        await Tallier(pool).run_once()
    await pool.execute("ALTER TABLE away RENAME TO run_rollup_mark")
    await pool.execute("ALTER TABLE run_latest ADD CONSTRAINT refuse CHECK (false) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await Tallier(pool).run_once()
    await pool.execute("ALTER TABLE run_latest DROP CONSTRAINT refuse")
    assert await _counts(pool, task_id) == {}
    await Tallier(pool).run_once()
    assert await _counts(pool, task_id) == {"succeeded": 1}
    assert (await Tallier(pool).run_once()).runs == 0


async def test_folds_add_up(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    for _ in range(120):
        await _finished(pool, task_id, agent_id, NOON, took=timedelta(seconds=1))
        await _finished(pool, task_id, agent_id, NOON, took=timedelta(seconds=100))
        await Tallier(pool, batch=1).run_once()
        await Tallier(pool, batch=1).run_once()
    row = await pool.fetchrow("SELECT * FROM run_rollup WHERE subject_id = $1 AND hours = 1", task_id)
    assert row is not None
    assert (row["executed"], row["execution_us"]) == (240, 120 * 101_000_000)
    # Not one entry for each fold.
    assert len(row["executions"]) <= 100
    assert sum(entry & ((1 << 40) - 1) for entry in row["executions"]) == 240


async def test_a_day_that_is_over_is_added_up_once_for_every_subject(pool: asyncpg.Pool) -> None:
    tasks, agent_id = [uuid4() for _ in range(5)], uuid4()
    await pool.execute("UPDATE run_rollup_mark SET days_until = $1", datetime(2026, 5, 4, tzinfo=UTC))
    for hour in (0, 12, 23):
        for task_id in tasks:
            await _finished(pool, task_id, agent_id, NOON.replace(hour=hour))
    tallier = Tallier(pool, subjects=2)
    await tallier.run_once(NOON)
    assert await _counts(pool, EVERYTHING, 24) == {}
    rounds = 0
    while (await tallier.run_once(NOON + timedelta(hours=13))).is_day_rolled:
        rounds += 1
    assert rounds > 1
    for task_id in tasks:
        assert await _counts(pool, task_id, 24) == {"succeeded": 3}
    assert await _counts(pool, agent_id, 24) == {"succeeded": 15}
    assert await _counts(pool, EVERYTHING, 24) == {"succeeded": 15}
    assert await _counts(pool, EVERYTHING, 1) == {"succeeded": 15}


async def test_what_comes_late_is_counted_in_its_day_too_and_only_once(pool: asyncpg.Pool) -> None:
    """Also while the day is being added up, for subjects that are done and for those that are not."""
    tasks, agent_id = [uuid4() for _ in range(6)], uuid4()
    await pool.execute("UPDATE run_rollup_mark SET days_until = $1", datetime(2026, 5, 4, tzinfo=UTC))
    tallier, next_day = Tallier(pool, subjects=1), NOON + timedelta(hours=13)
    is_rolling = True
    while is_rolling:
        for task_id in tasks:
            await _finished(pool, task_id, agent_id, NOON)
        is_rolling = (await tallier.run_once(next_day)).is_day_rolled
    for subject_id in (*tasks, agent_id, EVERYTHING):
        assert await _counts(pool, subject_id, 24) == await _counts(pool, subject_id, 1) != {}


async def test_the_newest_outcomes_are_kept_whatever_the_order_in_which_they_are_counted(pool: asyncpg.Pool) -> None:
    task_id, agent_id = uuid4(), uuid4()
    newest = await _finished(pool, task_id, agent_id, NOON + timedelta(hours=2))
    await Tallier(pool).run_once()
    failure = await _finished(pool, task_id, agent_id, NOON, "dead")
    await _finished(pool, task_id, agent_id, NOON - timedelta(hours=1), "failed")
    await _finished(pool, task_id, agent_id, NOON + timedelta(hours=3), "skipped", took=None)
    await Tallier(pool).run_once()
    row = await pool.fetchrow("SELECT * FROM run_latest WHERE subject_id = $1", task_id)
    assert row is not None
    assert (row["last_run_id"], row["last_success_id"], row["last_failure_id"]) == (newest, newest, failure)
    assert (row["agent_id"], row["begun_hour"]) == (agent_id, NOON + timedelta(hours=2))
