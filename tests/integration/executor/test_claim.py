"""What the claim leases, and what it leaves alone."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from services.executor.claimer import SQL, Claimer
from services.executor.work import Work
from tests.support.rows import make_due_work, make_task

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


class Shelf:
    """Slots that only keep what they are given."""

    def __init__(self, free: int = 1000) -> None:
        self.free = free
        self.taken: list[Work] = []

    def take(self, work: Work, claimed_at: float) -> None:
        assert claimed_at > 0
        self.taken.append(work)
        self.free -= 1


def claimer(pool: asyncpg.Pool, shelf: Shelf, instance: str = "one", batch: int = 100) -> Claimer:
    return Claimer(pool, shelf, instance=instance, lease_seconds=30.0, batch=batch)


@pytest.fixture
async def task_id(pool: asyncpg.Pool) -> UUID:
    return await make_task(pool, None)


async def test_the_most_urgent_is_claimed_first_then_the_oldest(pool: asyncpg.Pool, task_id: UUID) -> None:
    late = await make_due_work(pool, task_id, NOON, priority=5)
    early = await make_due_work(pool, task_id, NOON - timedelta(minutes=1), priority=5)
    urgent = await make_due_work(pool, task_id, NOON, priority=1)
    order = []
    for _ in range(3):
        shelf = Shelf(free=1)
        await claimer(pool, shelf).run_once(NOON)
        order += [work.id for work in shelf.taken]

    assert order == [urgent, early, late]


async def test_nothing_is_claimed_before_its_time(pool: asyncpg.Pool, task_id: UUID) -> None:
    await make_due_work(pool, task_id, NOON)
    shelf = Shelf()

    await claimer(pool, shelf).run_once(NOON - timedelta(milliseconds=1))

    assert shelf.taken == []


async def test_claimed_work_starts_a_run(pool: asyncpg.Pool, task_id: UUID) -> None:
    work_id = await make_due_work(pool, task_id, NOON)

    await claimer(pool, Shelf()).run_once(NOON)

    run = await pool.fetchrow("SELECT id, status, attempt, lease_owner, leased_until, started_at FROM task_run")
    assert run is not None
    assert tuple(run) == (work_id, "running", 1, "one", NOON + timedelta(seconds=30), NOON)


async def test_leased_work_is_claimed_by_nobody_else(pool: asyncpg.Pool, task_id: UUID) -> None:
    await make_due_work(pool, task_id, NOON)
    await claimer(pool, Shelf()).run_once(NOON)
    other = Shelf()

    await claimer(pool, other, "two").run_once(NOON + timedelta(seconds=29))

    assert other.taken == []


async def test_an_expired_lease_is_claimed_again_once(pool: asyncpg.Pool, task_id: UUID) -> None:
    work_id = await make_due_work(pool, task_id, NOON)
    await claimer(pool, Shelf()).run_once(NOON)
    later = NOON + timedelta(seconds=31)
    shelves = [Shelf() for _ in range(4)]

    await asyncio.gather(*(claimer(pool, shelf, f"other-{n}").run_once(later) for n, shelf in enumerate(shelves)))

    (work,) = [work for shelf in shelves for work in shelf.taken]
    assert (work.id, work.attempt, work.fence, work.is_admitted) == (work_id, 1, 2, False), "it has not begun again"
    lost = await pool.fetchrow("SELECT run_id, attempt, executor, error->>'class' FROM run_attempt")
    assert lost is not None
    assert tuple(lost) == (work_id, 1, "one", "lease_lost")


async def test_executors_at_once_share_the_work_without_doubles(pool: asyncpg.Pool, task_id: UUID) -> None:
    for number in range(300):
        await make_due_work(pool, task_id, NOON, priority=1 + number % 9)
    shelves = [Shelf() for _ in range(8)]

    async def drain(shelf: Shelf) -> None:
        while (await claimer(pool, shelf, batch=11).run_once(NOON)).work:
            pass

    await asyncio.gather(*(drain(shelf) for shelf in shelves))

    taken = Counter(work.id for shelf in shelves for work in shelf.taken)
    assert len(taken) == 300
    assert set(taken.values()) == {1}


async def test_no_more_is_claimed_than_there_are_slots(pool: asyncpg.Pool, task_id: UUID) -> None:
    for _ in range(5):
        await make_due_work(pool, task_id, NOON)
    shelf = Shelf(free=3)

    await claimer(pool, shelf).run_once(NOON)

    assert len(shelf.taken) == 3
    assert await pool.fetchval("SELECT count(*) FROM due_work WHERE locked_by IS NULL") == 2


async def test_the_pause_ends_when_the_next_row_becomes_available(pool: asyncpg.Pool, task_id: UUID) -> None:
    await make_due_work(pool, task_id, datetime.now(UTC) + timedelta(milliseconds=400))

    claimed = await claimer(pool, Shelf()).run_once()

    assert claimed.work == 0
    assert 0 < claimed.pause_seconds <= 0.4


async def test_the_claim_reads_only_what_it_takes(pool: asyncpg.Pool, task_id: UUID) -> None:
    """With many rows not yet due, every level of priority is one bounded range of the index."""
    await pool.execute(
        "INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source) "
        "SELECT gen_random_uuid(), $1, $1, 1, $2, $2::timestamptz + n * interval '1 s', 1 + n % 9, 'schedule' "
        "FROM generate_series(1, 20000) AS n",
        task_id,
        NOON,
    )
    await pool.execute("ANALYZE due_work")

    plan = await pool.fetchval(
        "EXPLAIN (ANALYZE, FORMAT JSON) " + SQL["claim"].sql, 100, "one", 30.0, NOON + timedelta(seconds=5)
    )

    scans = [node for node in _nodes(json.loads(plan)[0]["Plan"]) if node.get("Index Name") == "due_work_claim_idx"]
    assert len(scans) == 2, "the oldest of each priority, and what is taken"
    for scan in scans:
        assert "available_at" in scan["Index Cond"]
        assert "Rows Removed by Filter" not in scan
        assert scan["Actual Rows"] * scan["Actual Loops"] <= 9


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)


async def test_a_row_with_a_word_that_is_unknown_here_runs_beside_its_neighbours(pool: asyncpg.Pool) -> None:
    """A newer version may have written it."""
    strange = await make_task(pool, None, backoff_strategy="fibonacci", payload=["not", "an", "object"])
    ordinary = await make_task(pool, None)
    for each in (strange, ordinary):
        await make_due_work(pool, each, NOON)
    shelf = Shelf()

    await claimer(pool, shelf).run_once(NOON)

    assert {work.task_id for work in shelf.taken} == {strange, ordinary}


@pytest.mark.parametrize("free", [0, -1])
async def test_without_a_free_slot_nothing_is_claimed(pool: asyncpg.Pool, task_id: UUID, free: int) -> None:
    await make_due_work(pool, task_id, NOON)

    assert (await claimer(pool, Shelf(free)).run_once(NOON)).work == 0


async def test_of_equal_urgency_the_one_that_waited_longest_is_claimed(pool: asyncpg.Pool, task_id: UUID) -> None:
    expected = [await make_due_work(pool, task_id, NOON - timedelta(minutes=minute)) for minute in (9, 1, 5)]
    shelf = Shelf(free=1)

    await claimer(pool, shelf).run_once(NOON)

    assert [work.id for work in shelf.taken] == expected[:1]


async def test_the_limit_is_that_of_all_priorities_together(pool: asyncpg.Pool, task_id: UUID) -> None:
    for priority in (1, 5, 9):
        for _ in range(2):
            await make_due_work(pool, task_id, NOON, priority=priority)

    claimed = await claimer(pool, Shelf(free=3)).run_once(NOON)

    assert claimed.work == 3


async def test_a_run_started_when_its_first_attempt_did(pool: asyncpg.Pool, task_id: UUID) -> None:
    await make_due_work(pool, task_id, NOON)
    for seconds in (0, 31):
        await claimer(pool, Shelf()).run_once(NOON + timedelta(seconds=seconds))

    assert await pool.fetchval("SELECT started_at FROM task_run") == NOON
