"""Overlap, concurrency, rate, deadline, priority and poison, as receivers and runs see them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from aiohttp import web

from services.executor.claimer import Claimer
from services.executor.limiter import Limiter
from services.executor.settings import ExecutorSettings
from services.executor.work import Work
from tests.integration.executor.conftest import running
from tests.support.receiver import Receiver, receiving
from tests.support.rows import make_agent, make_due_work, make_task
from tests.support.waiting import wait_until


class NoSlots:
    """A claimer is asked directly here."""

    free = 0

    def take(self, work: Work, claimed_at: float) -> None:
        raise AssertionError(work, claimed_at)


@pytest.fixture
def claimer(pool: asyncpg.Pool) -> Claimer:
    return Claimer(pool, NoSlots(), instance="claims", lease_seconds=30, batch=100)


@pytest.fixture
async def limiter(pool: asyncpg.Pool) -> AsyncIterator[Limiter]:
    limiter = Limiter(pool, "claims")
    await limiter.start()
    yield limiter
    await limiter.stop()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started


async def statuses(pool: asyncpg.Pool) -> Counter[str]:
    rows = await pool.fetch("SELECT status FROM task_run")
    return Counter(row["status"] for row in rows)


async def reasons(pool: asyncpg.Pool) -> Counter[str]:
    rows = await pool.fetch("SELECT skip_reason FROM task_run WHERE skip_reason IS NOT NULL")
    return Counter(row["skip_reason"] for row in rows)


async def is_drained(pool: asyncpg.Pool) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = 0 FROM due_work"))


async def one_runs_and_two_come_due(pool: asyncpg.Pool, receiver: Receiver, policy: str) -> list[UUID]:
    """Each comes due while the one before is in progress, or waits."""
    receiver.may_answer.clear()
    task_id = await make_task(pool, None, payload=receiver.call(), overlap_policy=policy)
    runs = [await make_due_work(pool, task_id, datetime.now(UTC))]
    await wait_until(lambda: len(receiver.keys) == 1)
    for _ in range(2):
        runs.append(await make_due_work(pool, task_id, datetime.now(UTC)))
        await wait_until(lambda: _is_judged(pool, runs[-1], policy))
    return runs


async def _is_judged(pool: asyncpg.Pool, run_id: UUID, policy: str) -> bool:
    work = await pool.fetchrow("SELECT held_until, locked_until FROM due_work WHERE id = $1", run_id)
    if work is None:
        return True
    return work["held_until"] is not None or (policy == "allow_all" and work["locked_until"] is not None)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("skip", ({"succeeded": 1, "skipped": 2}, {"overlap": 2})),
        ("buffer_one", ({"succeeded": 2, "skipped": 1}, {"overlap_buffer_full": 1})),
        ("buffer_all", ({"succeeded": 3}, {})),
        ("allow_all", ({"succeeded": 3}, {})),
    ],
)
async def test_what_comes_due_while_a_run_is_in_progress_follows_the_policy(
    pool: asyncpg.Pool,
    settings: ExecutorSettings,
    receiver: Receiver,
    policy: str,
    expected: tuple[dict[str, int], dict[str, int]],
) -> None:
    async with running(settings):
        await one_runs_and_two_come_due(pool, receiver, policy)
        in_progress = 3 if policy == "allow_all" else 1
        await wait_until(lambda: len(receiver.keys) >= in_progress)
        assert len(receiver.keys) == in_progress
        receiver.may_answer.set()
        await wait_until(lambda: is_drained(pool))

    assert (await statuses(pool), await reasons(pool)) == expected
    assert max(receiver.deliveries().values()) == 1


async def test_the_newest_occurrence_takes_the_place_of_all_before_it(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    task_id = await make_task(pool, None, payload=receiver.call(), overlap_policy="cancel_other")
    async with running(settings):
        first = await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: len(receiver.keys) == 1)
        second = await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: len(receiver.keys) == 2)
        receiver.may_answer.set()
        await wait_until(lambda: is_drained(pool))

    assert receiver.keys == [str(first), str(second)]
    rows = await pool.fetch("SELECT id, status FROM task_run")
    assert {row["id"]: row["status"] for row in rows} == {first: "canceled", second: "succeeded"}


async def test_a_backlog_of_a_task_that_must_not_overlap_runs_one_after_the_other(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    at_once, most = 0, 0

    async def answer(_request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return web.json_response({})

    receiver.answer = answer
    task_id = await make_task(pool, None, payload=receiver.call(), overlap_policy="skip")
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    for number in range(6):
        await make_due_work(pool, task_id, long_ago + timedelta(seconds=number))
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert (await statuses(pool), most) == ({"succeeded": 6}, 1)


async def test_a_concurrency_key_is_kept_across_tasks_and_executors(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    agent_id = await make_agent(pool)
    for _ in range(5):
        task_id = await make_task(
            pool,
            None,
            payload=receiver.call(),
            concurrency_key="database",
            concurrency_limit=2,
            agent_id=agent_id,
        )
        await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="database")
    async with running(settings), running(settings, "executor-2"):
        await wait_until(lambda: len(receiver.keys) == 2)
        await wait_until(lambda: _held(pool, 3))
        assert len(receiver.keys) == 2
        receiver.may_answer.set()
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 5}


async def test_a_crash_frees_the_slots_of_a_key_by_itself(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    agent_id = await make_agent(pool)
    task_id = await make_task(pool, None, payload=receiver.call(), agent_id=agent_id)
    await make_due_work(
        pool,
        task_id,
        datetime.now(UTC),
        concurrency_key="database",
        holds_slot=True,
        locked_by="gone",
        locked_until=datetime.now(UTC) - timedelta(seconds=1),
        unended_starts=1,
    )
    await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="database")
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert (await statuses(pool))["succeeded"] == 2


async def test_excess_over_a_rate_runs_later(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call(), rate_limit={"limit": 2, "period_seconds": 2})
    for _ in range(5):
        await make_due_work(pool, task_id, datetime.now(UTC))
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 5}
    arrivals = sorted(receiver.arrivals)
    assert min(later - earlier for earlier, later in zip(arrivals, arrivals[2:], strict=False)) > 1.5


async def test_what_could_not_begin_in_time_is_expired_and_not_sent(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call(), expires_after_seconds=60)
    await make_due_work(pool, task_id, datetime.now(UTC) - timedelta(seconds=90))
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    (run,) = await pool.fetch("SELECT status, success, error FROM task_run")
    assert (run["status"], run["success"], receiver.keys) == ("expired", None, [])
    assert "60 s" in run["error"]["message"]


async def test_work_of_a_disabled_agent_is_not_sent(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call())
    await pool.execute("UPDATE agent SET status = 'disabled'")
    await make_due_work(pool, task_id, datetime.now(UTC))
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert (await reasons(pool), receiver.keys) == ({"agent_disabled": 1}, [])


async def test_an_agent_that_is_enabled_again_goes_on(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call())
    await pool.execute("UPDATE agent SET status = 'disabled'")
    async with running(settings):
        await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: is_drained(pool))
        await pool.execute("UPDATE agent SET status = 'active'")
        await make_due_work(pool, task_id, datetime.now(UTC))
        await wait_until(lambda: len(receiver.keys) == 1)

    assert await reasons(pool) == {"agent_disabled": 1}


async def test_one_of_two_executors_begins_a_task_that_must_not_overlap(pool: asyncpg.Pool, claimer: Claimer) -> None:
    """The unique index is what decides, whatever the two have seen."""
    task_id = await make_task(pool, None, overlap_policy="skip")
    await make_due_work(pool, task_id, datetime.now(UTC))
    (first,) = await claimer.claim(1)
    assert first.is_admitted
    await make_due_work(pool, task_id, datetime.now(UTC))
    (second,) = await claimer.claim(1)
    assert not second.is_admitted
    with pytest.raises(asyncpg.UniqueViolationError):
        await pool.execute("UPDATE due_work SET serial_key = task_id WHERE id = $1", second.id)


async def test_decisions_about_one_task_wait_for_each_other(
    pool: asyncpg.Pool, claimer: Claimer, limiter: Limiter
) -> None:
    task_id = await make_task(pool, None, overlap_policy="buffer_one", concurrency_key="k")
    for _ in range(4):
        await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="k")
    works = [(await claimer.claim(1))[0] for _ in range(4)]
    other = Limiter(pool, "other")
    await other.start()
    answers = await asyncio.gather(*(each.admit(work) for each, work in zip([limiter, other] * 2, works, strict=True)))
    await other.stop()

    assert len([answer for answer in answers if answer is not None]) == 1
    assert await pool.fetchval("SELECT count(*) FROM due_work WHERE held_until IS NOT NULL") == 1
    assert await reasons(pool) == {"overlap_buffer_full": 2}


async def test_priorities_are_strict_among_what_has_just_come_due(pool: asyncpg.Pool, claimer: Claimer) -> None:
    task_id = await make_task(pool, None)
    now = datetime.now(UTC)
    for priority in (9, 5, 1):
        await make_due_work(pool, task_id, now - timedelta(seconds=priority), priority=priority)
    claimed = [await _priority_of(pool, (await claimer.claim(1))[0].id) for _ in range(3)]
    assert claimed == [1, 5, 9]


async def test_the_least_priority_is_never_starved(pool: asyncpg.Pool, claimer: Claimer) -> None:
    task_id = await make_task(pool, None)
    now = datetime.now(UTC)
    await make_due_work(pool, task_id, now - timedelta(minutes=5), priority=9)
    for _ in range(3):
        await make_due_work(pool, task_id, now, priority=1)
    claimed = [await _priority_of(pool, (await claimer.claim(1))[0].id) for _ in range(2)]
    assert claimed == [9, 1]


async def test_work_that_took_its_executor_along_twice_is_quarantined(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call(), max_retries=10)
    lost = {"fence": 2, "attempt": 2, "unended_starts": 2, "locked_by": "gone", "locked_until": datetime.now(UTC)}
    poison = await make_due_work(pool, task_id, datetime.now(UTC), **lost)
    neighbour = await make_due_work(pool, task_id, datetime.now(UTC), **{**lost, "unended_starts": 1})
    await pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, attempt, source, started_at) "
        "SELECT id, task_id, agent_id, scheduled_for, 'running', attempt, source, now() FROM due_work"
    )
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    rows = await pool.fetch("SELECT id, status FROM task_run")
    assert {row["id"]: row["status"] for row in rows} == {poison: "dead", neighbour: "succeeded"}
    assert receiver.keys == [str(neighbour)]


async def test_suspects_begin_one_at_a_time(pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver) -> None:
    """Of what an executor took along, only what runs alone can be blamed for the next loss."""
    receiver.may_answer.clear()
    task_id = await make_task(pool, None, payload=receiver.call())
    for _ in range(5):
        await make_due_work(
            pool,
            task_id,
            datetime.now(UTC),
            fence=1,
            attempt=1,
            unended_starts=1,
            locked_by="gone",
            locked_until=datetime.now(UTC),
        )
    async with running(settings):
        await wait_until(lambda: len(receiver.keys) == 1)
        assert await pool.fetchval("SELECT count(*) FROM due_work WHERE unended_starts = 2") == 1
        receiver.may_answer.set()
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 5}


async def _held(pool: asyncpg.Pool, count: int) -> bool:
    return bool(await pool.fetchval("SELECT count(*) = $1 FROM due_work WHERE held_until IS NOT NULL", count))


async def _priority_of(pool: asyncpg.Pool, run_id: UUID) -> int:
    priority: int = await pool.fetchval("SELECT priority FROM due_work WHERE id = $1", run_id)
    return priority


async def test_work_that_was_leased_and_never_began_loses_no_attempt(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    """The executor died while it decided about limits; the task allows no retry."""
    task_id = await make_task(pool, None, payload=receiver.call(), max_retries=0, concurrency_key="k")
    lost = {"fence": 3, "attempt": 0, "locked_by": "gone", "locked_until": datetime.now(UTC)}
    await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="k", **lost)
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 1}


async def test_a_crash_is_no_failure_of_the_work(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call(), max_retries=0)
    begun = {"fence": 1, "attempt": 1, "unended_starts": 1, "started_at": datetime.now(UTC)}
    lost = {**begun, "locked_by": "gone", "locked_until": datetime.now(UTC)}
    await make_due_work(pool, task_id, datetime.now(UTC), **lost)
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 1}


async def test_what_began_in_time_does_not_expire_while_it_is_parked(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    call = {"id": "call", "uses": "http.request", "with": {"url": receiver.url}}
    pipeline = [{"id": "nap", "uses": "sleep", "with": {"seconds": 1.5}}, call]
    task_id = await make_task(pool, None, payload={"pipeline": pipeline}, expires_after_seconds=1)
    await make_due_work(pool, task_id, datetime.now(UTC))
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    assert await statuses(pool) == {"succeeded": 1}


async def test_what_stood_back_when_its_task_was_paused_does_not_begin(
    pool: asyncpg.Pool, claimer: Claimer, limiter: Limiter
) -> None:
    task_id = await make_task(pool, None, concurrency_key="k")
    await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="k")
    (work,) = await claimer.claim(1)
    await pool.execute("UPDATE task SET status = 'paused' WHERE id = $1", task_id)

    assert await limiter.admit(work) is None
    assert await reasons(pool) == {"task_paused": 1}


async def test_a_lease_that_is_over_starts_nothing(pool: asyncpg.Pool, claimer: Claimer, limiter: Limiter) -> None:
    task_id = await make_task(pool, None, concurrency_key="k")
    await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key="k")
    (work,) = await claimer.claim(1)
    await pool.execute("UPDATE due_work SET locked_until = now() - interval '1 s'")

    assert await limiter.admit(work) is None
    assert await statuses(pool) == {}


async def test_a_word_of_a_newer_version_keeps_no_neighbour_from_starting(
    pool: asyncpg.Pool, claimer: Claimer, limiter: Limiter
) -> None:
    for policy in ("of_tomorrow", "allow_all"):
        task_id = await make_task(pool, None, concurrency_key=policy, overlap_policy=policy)
        await make_due_work(pool, task_id, datetime.now(UTC), concurrency_key=policy)
    works = await claimer.claim(9)

    assert all(await asyncio.gather(*(limiter.admit(work) for work in works)))


async def test_reserved_starts_that_were_missed_are_reserved_anew(
    pool: asyncpg.Pool, settings: ExecutorSettings, receiver: Receiver
) -> None:
    task_id = await make_task(pool, None, payload=receiver.call(), rate_limit={"limit": 1, "period_seconds": 2})
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    for number in range(2):
        await make_due_work(pool, task_id, long_ago + timedelta(seconds=2 * number), is_rate_reserved=True)
    async with running(settings):
        await wait_until(lambda: is_drained(pool))

    first, second = receiver.arrivals
    assert second - first > 1.5
