"""What is written when an attempt has ended, and what is refused."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import msgspec
import pytest

from services.executor.claimer import SQL, Claimer
from services.executor.outcome import Canceled, Failed, HandedBack, Result, Succeeded, decide
from services.executor.recorder import Finished, Recorder
from services.executor.work import Work
from shared.vocabulary.states import ErrorClass
from tests.integration.executor.test_claim import Shelf
from tests.support.rows import make_due_work, make_task

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
TIMED_OUT = Failed(ErrorClass.TIMEOUT, "too slow", is_retryable=True)


def _forget(_recorded: Iterable[Work]) -> None:
    return None


@pytest.fixture
def recorder(pool: asyncpg.Pool) -> Recorder:
    return Recorder(pool, _forget)


@pytest.fixture
async def work(pool: asyncpg.Pool) -> Work:
    await make_due_work(pool, await make_task(pool, None, max_retries=1), NOON)
    return await claim(pool)


async def claim(pool: asyncpg.Pool, at: datetime = NOON) -> Work:
    (work,) = await Claimer(pool, Shelf(), instance="one", lease_seconds=30, batch=9).claim(9, at)
    return work


async def record(recorder: Recorder, work: Work, result: Result) -> int:
    return await recorder.record([Finished(work, decide(result, work), "f" * 32)])


async def run_row(pool: asyncpg.Pool, run_id: UUID) -> asyncpg.Record:
    row = await pool.fetchrow("SELECT * FROM task_run WHERE id = $1", run_id)
    assert row is not None
    return row


async def test_success_ends_the_run_and_leaves_the_queue_empty(
    pool: asyncpg.Pool, recorder: Recorder, work: Work
) -> None:
    assert await record(recorder, work, Succeeded({"status": 200})) == 0

    run = await run_row(pool, work.id)
    assert (run["status"], run["success"], run["output"], run["trace_id"]) == (
        "succeeded",
        True,
        {"status": 200},
        "f" * 32,
    )
    assert run["finished_at"] is not None
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0


async def test_a_retry_is_a_new_time_in_the_queue_and_an_attempt_on_record(
    pool: asyncpg.Pool, recorder: Recorder, work: Work
) -> None:
    await record(recorder, work, TIMED_OUT)

    run = await run_row(pool, work.id)
    assert (run["status"], run["success"], run["finished_at"]) == ("retrying", None, None)
    row = await pool.fetchrow("SELECT run_at - now() AS wait, locked_by, locked_until, attempt FROM due_work")
    assert row is not None
    assert timedelta(seconds=4) < row["wait"] <= timedelta(seconds=10)
    assert (row["locked_by"], row["locked_until"], row["attempt"]) == (None, None, 1)
    assert await pool.fetchval("SELECT error FROM run_attempt WHERE run_id = $1", work.id) == {
        "class": "timeout",
        "message": "too slow",
        "retryable": True,
        "step": None,
        "attempt": 1,
    }


async def test_a_run_is_dead_after_its_last_retry(pool: asyncpg.Pool, recorder: Recorder, work: Work) -> None:
    await record(recorder, work, TIMED_OUT)
    again = await claim(pool, datetime.now(UTC) + timedelta(seconds=11))
    await record(recorder, again, TIMED_OUT)

    run = await run_row(pool, work.id)
    assert (run["status"], run["success"], run["attempt"]) == ("dead", False, 2)
    assert await pool.fetchval("SELECT array_agg(attempt ORDER BY attempt) FROM run_attempt") == [1, 2]
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0


async def test_a_write_with_an_old_fence_changes_nothing(pool: asyncpg.Pool, recorder: Recorder, work: Work) -> None:
    newer = await claim(pool, NOON + timedelta(seconds=31))

    assert await record(recorder, work, Succeeded("of the old")) == 1
    assert (await run_row(pool, work.id))["status"] == "running"
    assert await record(recorder, newer, Succeeded("of the new")) == 0
    assert (await run_row(pool, work.id))["output"] == "of the new"


async def test_an_outcome_is_recorded_once(pool: asyncpg.Pool, recorder: Recorder, work: Work) -> None:
    await record(recorder, work, Succeeded(1))

    assert await record(recorder, work, TIMED_OUT) == 1
    assert (await run_row(pool, work.id))["status"] == "succeeded"


async def test_work_handed_back_can_be_claimed_at_once_and_costs_no_attempt(
    pool: asyncpg.Pool, recorder: Recorder, work: Work
) -> None:
    await record(recorder, work, HandedBack())

    assert (await run_row(pool, work.id))["status"] == "queued"
    again = await claim(pool, datetime.now(UTC) + timedelta(seconds=1))
    assert (again.attempt, again.fence) == (1, 2)


async def test_a_canceled_run_has_no_success_and_a_reason(pool: asyncpg.Pool, recorder: Recorder, work: Work) -> None:
    await record(recorder, work, Canceled())

    run = await run_row(pool, work.id)
    assert (run["status"], run["success"], run["error"]["class"]) == ("canceled", None, "canceled")


async def test_an_outcome_that_cannot_be_stored_takes_no_other_with_it(pool: asyncpg.Pool) -> None:
    task_id = await make_task(pool, None)
    for _ in range(3):
        await make_due_work(pool, task_id, NOON)
    works = await Claimer(pool, Shelf(), instance="one", lease_seconds=30, batch=9).claim(9, NOON)
    recorder = Recorder(pool, _forget)
    await recorder.start()
    for number, work in enumerate(works):
        output = "half a pair \ud800" if number == 1 else number
        outcome = msgspec.structs.replace(decide(Succeeded(output), work), output=output)
        recorder.add(Finished(work, outcome, None))

    await recorder.stop()

    statuses = [(await run_row(pool, work.id))["status"] for work in works]
    assert statuses == ["succeeded", "failed", "succeeded"]
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 0


async def test_renewal_moves_the_lease_and_shows_who_asked_to_cancel(pool: asyncpg.Pool, work: Work) -> None:
    await pool.execute("UPDATE task_run SET cancel_requested_at = now()")

    rows = await pool.fetch(SQL["renew_leases"].sql, [work.id], [work.fence], 30.0)

    assert [tuple(row) for row in rows] == [(work.id, work.fence, True)]
    assert await pool.fetchval("SELECT locked_until > now() + interval '25 s' FROM due_work")


async def test_renewal_with_an_old_fence_renews_nothing(pool: asyncpg.Pool, work: Work) -> None:
    await claim(pool, NOON + timedelta(seconds=31))

    assert await pool.fetch(SQL["renew_leases"].sql, [work.id], [work.fence], 30.0) == []
