"""An event and the work that it makes."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from shared.database.asking import asking
from shared.events.event import Event, Published
from shared.events.publishing import publish, publish_all
from shared.vocabulary.faults import Invalid, PayloadTooLarge
from shared.vocabulary.ids import occurrence_id, uuid7
from shared.vocabulary.limits import EVENT_DEPTH
from tests.integration.events.conftest import NOON, Listen, Publish, concerned
from tests.support.rows import make_agent, make_task
from tests.support.waiting import wait_until

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_it_makes_work_of_exactly_the_tasks_that_listen(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    expected = {await listen(pattern) for pattern in ("order.placed", "order.*", "*.placed", "order.**", "**", "*.**")}
    expected.add(await listen("order.*", event_filter="payload.total > 100"))
    for pattern in ("order.paid", "order", "*", "order.placed.*", "order.placed.**", "*.*.*"):
        await listen(pattern)
    await listen("order.*", event_filter="payload.total > 1000")
    await listen("order.*", event_filter="payload.nothing > 1000")

    published = await say(payload={"total": 250})

    assert (published.listeners, published.is_new) == (len(expected), True)
    assert await concerned(pool) == expected


async def test_a_topic_of_many_segments_finds_its_patterns_too(
    pool: asyncpg.Pool, listen: Listen, say: Publish
) -> None:
    topic = "a.b.c.d.e.f.g.h.i.j"
    expected = {await listen(pattern) for pattern in (topic, "a.**", "a.b.c.d.e.f.g.*.i.j")}
    await listen("b.**")
    await listen("a.b.c.d.e.f.g.*.i")
    await say(topic)
    assert await concerned(pool) == expected


@pytest.mark.parametrize("status", ["paused", "canceled", "completed"])
async def test_a_task_that_is_not_active_does_not_run(
    pool: asyncpg.Pool, listen: Listen, say: Publish, status: str
) -> None:
    await listen(status=status)
    await make_task(pool, NOON)
    assert (await say()).listeners == 0
    assert await concerned(pool) == set()


@pytest.mark.parametrize(
    "change",
    ["status = 'disabled'", "scopes = ARRAY['tasks:write', 'events:publish']"],
)
async def test_a_task_whose_owner_may_not_read_events_does_not_run(
    pool: asyncpg.Pool, listen: Listen, say: Publish, change: str
) -> None:
    await listen()
    await pool.execute(f"UPDATE agent SET {change}")
    assert (await say()).listeners == 0


async def test_an_admin_hears_everything(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    await listen(agent_id=await make_agent(pool, scopes=("admin",)))
    assert (await say()).listeners == 1


async def test_the_work_has_the_event_its_task_and_its_trace(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    task_id = await listen(priority=2, concurrency_key="one")
    event_id = uuid7(NOON)
    await say(id=event_id, payload={"total": 1.5}, published_by="somebody", depth=3, traceparent=TRACEPARENT)

    work = await pool.fetchrow("SELECT *, available_at AS at FROM due_work")
    run = await pool.fetchrow("SELECT * FROM task_run")
    assert work is not None
    assert run is not None
    assert work["id"] == run["id"] == occurrence_id(task_id, 1, NOON, f"event:{event_id}")
    assert (work["priority"], work["concurrency_key"], work["source"], work["at"]) == (2, "one", "event", NOON)
    assert work["scheduled_for"] == run["scheduled_for"] == NOON
    assert (work["traceparent"], run["trace_id"]) == (TRACEPARENT, TRACEPARENT.split("-")[1])
    assert work["event"] == run["event"]
    owner_id = str(await pool.fetchval("SELECT agent_id FROM task"))
    assert work["event"] == {
        "id": str(event_id),
        "topic": "order.placed",
        "payload": {"total": 1.5},
        "source_agent_id": owner_id,
        "published_by": "somebody",
        "published_at": "2026-01-01T12:00:00+00:00",
        "depth": 3,
    }


async def test_published_twice_it_is_one_event_with_one_work_per_task(
    pool: asyncpg.Pool, listen: Listen, say: Publish
) -> None:
    await listen()
    event_id = uuid7(NOON)
    first = await say(id=event_id, payload={"n": 1})
    await listen()
    again = await say(id=event_id, payload={"n": 2}, now=NOON + timedelta(seconds=5))
    assert (again.listeners, again.is_new, again.published_at) == (1, False, first.published_at)
    assert again.event.payload == {"n": 1}
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 1
    assert await pool.fetchval("SELECT count(*) FROM event") == 1


async def test_many_publishers_of_one_event_make_it_once(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    for _ in range(5):
        await listen()
    event_id = uuid7(NOON)
    answers = await asyncio.gather(*(say(id=event_id) for _ in range(8)))
    assert [published.listeners for published in answers] == [5] * 8
    assert sum(published.is_new for published in answers) == 1
    assert len(await concerned(pool)) == 5


async def test_a_task_with_max_runs_hears_no_more_events_than_that(
    pool: asyncpg.Pool, listen: Listen, say: Publish
) -> None:
    await listen(max_runs=3)
    answers = await asyncio.gather(*(say(now=NOON + timedelta(seconds=n)) for n in range(9)))
    assert sum(published.listeners for published in answers) == 3
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 3
    assert await pool.fetchval("SELECT count(*) FROM event") == 9


async def test_a_pause_that_is_committed_first_wins(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    task_id = await listen()
    async with pool.acquire() as pausing:
        async with pausing.transaction():
            await pausing.execute("UPDATE task SET status = 'paused' WHERE id = $1", task_id)
            publishing = asyncio.create_task(say())
            await wait_until(
                lambda: pool.fetchval("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            )
        assert (await publishing).listeners == 0
    assert await concerned(pool) == set()


async def test_a_rolled_back_transaction_leaves_no_event(pool: asyncpg.Pool, listen: Listen) -> None:
    await listen()
    owner_id = await pool.fetchval("SELECT id FROM agent")
    event = Event(id=uuid7(NOON), topic="order.placed", payload={}, source_agent_id=owner_id)
    async with pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        assert (await publish(asking(connection), event)).listeners == 1
        await transaction.rollback()
    assert await pool.fetchval("SELECT count(*) FROM event") == 0
    assert await concerned(pool) == set()


async def test_a_chain_of_events_ends_at_the_greatest_depth(pool: asyncpg.Pool, listen: Listen, say: Publish) -> None:
    await listen()
    assert (await say(depth=EVENT_DEPTH)).listeners == 1
    with pytest.raises(Invalid) as refusal:
        await say(depth=EVENT_DEPTH + 1)
    assert refusal.value.error_code == "event_loop"
    assert await pool.fetchval("SELECT count(*) FROM event") == 1


async def test_a_topic_that_is_none_and_a_payload_that_is_too_large_are_refused(say: Publish) -> None:
    with pytest.raises(Invalid) as refusal:
        await say("order.*")
    assert (refusal.value.error_code, refusal.value.validation_errors[0].position) == ("invalid_topic", 6)
    with pytest.raises(PayloadTooLarge):
        await say(payload={"text": "x" * 64 * 1024})
    assert (await say(payload={"text": "x" * (64 * 1024 - len('{"text":""}'))})).is_new


async def test_events_of_a_batch_share_what_is_left_of_max_runs(pool: asyncpg.Pool, listen: Listen) -> None:
    await listen(max_runs=2)
    await listen("order.*", event_filter="payload.n == 3")
    published = await _say_all(pool, [{"n": n} for n in range(4)])
    assert [each.listeners for each in published] == [1, 1, 0, 1]
    assert await pool.fetchval("SELECT count(*) FROM due_work") == 3


async def test_events_of_a_batch_are_a_microsecond_apart(pool: asyncpg.Pool, listen: Listen) -> None:
    await listen()
    published = await _say_all(pool, [{}] * 3)
    times = [NOON + timedelta(microseconds=number) for number in range(3)]
    assert [each.published_at for each in published] == times
    rows = await pool.fetch(
        "SELECT run_at FROM due_work WHERE event ->> 'id' = ANY ($1) ORDER BY run_at",
        [str(each.event.id) for each in published],
    )
    assert [row["run_at"] for row in rows] == times


async def test_a_batch_makes_no_more_runs_than_one_transaction_can(
    pool: asyncpg.Pool, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.events.publishing.RUNS_PER_BATCH", 5)
    for _ in range(3):
        await listen()
    with pytest.raises(Invalid) as refusal:
        await _say_all(pool, [{}] * 2)
    assert refusal.value.error_code == "out_of_range"
    assert [each.listeners for each in await _say_all(pool, [{}])] == [3]


async def test_many_topics_find_their_listeners_too(
    pool: asyncpg.Pool, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.events.publishing.PATTERNS_ENUMERATED", 3)
    expected = {await listen(pattern) for pattern in ("order.placed", "order.*", "**")}
    await listen("order.paid")
    assert [each.listeners for each in await _say_all(pool, [{}])] == [3]
    assert await concerned(pool) == expected


async def _say_all(pool: asyncpg.Pool, payloads: Sequence[Mapping[str, Any]]) -> list[Published]:
    """Events of one topic, published together."""
    owner_id = await pool.fetchval("SELECT agent_id FROM task LIMIT 1")
    events = [
        Event(id=uuid7(NOON), topic="order.placed", payload=payload, source_agent_id=owner_id) for payload in payloads
    ]
    async with pool.acquire() as connection, connection.transaction():
        return await publish_all(asking(connection), events, NOON)
