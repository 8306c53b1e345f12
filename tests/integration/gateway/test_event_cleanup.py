"""`DELETE /events/stream/cleanup`."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from redis.asyncio import Redis

from shared.streams.event_log import STREAM
from shared.vocabulary.ids import random_id, uuid7
from tests.integration.gateway.bench import Bench, Caller
from tests.support.waiting import wait_until

PATH = "/events/stream/cleanup"


async def make_events(gateway: Bench, agent_id: UUID, hours: list[int], *, is_relayed: bool = True) -> str:
    """Published so many hours ago. Returns their topic."""
    topic = f"test.{random_id()}"
    now = await gateway.pool.fetchval("SELECT now()")
    for age in hours:
        await gateway.pool.execute(
            "INSERT INTO event (id, topic, payload, source_agent_id, published_at, relayed_at) "
            "VALUES ($1, $2, '{}', $3, now() - make_interval(hours => $4), CASE WHEN $5 THEN now() END)",
            *(uuid7(now), topic, agent_id, age, is_relayed),
        )
    return topic


async def left(gateway: Bench, topic: str) -> int:
    count: int = await gateway.pool.fetchval("SELECT count(*) FROM event WHERE topic = $1", topic)
    return count


async def clean_up(caller: Caller, **parameters: str | int) -> dict[str, Any]:
    answer = await caller.client.delete(PATH, params=parameters)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_it_removes_what_is_older_and_was_relayed(own_gateway: Bench) -> None:
    admin = await own_gateway.admin()
    topic = await make_events(own_gateway, admin.agent_id, [0, 23, 25, 200])
    waiting = await make_events(own_gateway, admin.agent_id, [25], is_relayed=False)
    told = await clean_up(admin)
    assert (told["removed"], told["has_more"], await left(own_gateway, topic)) == (1, False, 3)
    assert (await clean_up(admin, max_age_hours=24))["removed"] == 1
    assert (await clean_up(admin, max_age_hours=24))["removed"] == 0
    assert (await left(own_gateway, topic), await left(own_gateway, waiting)) == (2, 1)
    entries = await own_gateway.pool.fetch(
        "SELECT details FROM audit_log WHERE action = 'event.cleaned_up' ORDER BY seq"
    )
    assert [(entry["details"]["removed"], entry["details"]["max_age_hours"]) for entry in entries] == [
        (1, 168),
        (1, 24),
    ]


async def test_it_goes_on_in_batches(own_gateway: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.gateway.events.recent.REMOVED_AT_ONCE", 3)
    admin = await own_gateway.admin()
    await make_events(own_gateway, admin.agent_id, [*range(30, 37)])
    answers = [await clean_up(admin, max_age_hours=24) for _ in range(3)]
    assert [(told["removed"], told["has_more"]) for told in answers] == [(3, True), (3, True), (1, False)]


async def test_the_log_keeps_none_of_them_either(own_gateway: Bench, redis: Redis) -> None:
    admin = await own_gateway.admin()
    now = await own_gateway.pool.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint")
    for age in (30, 20):
        await redis.xadd(STREAM, {"id": str(age)}, id=f"{now - age * 3_600_000}-1")
    await make_events(own_gateway, admin.agent_id, [30])
    await clean_up(admin, max_age_hours=24)

    async def is_trimmed() -> bool:
        return [fields for _, fields in await redis.xrange(STREAM)] == [{b"id": b"20"}]

    await wait_until(is_trimmed)


async def test_what_was_removed_can_be_published_again(own_gateway: Bench) -> None:
    admin = await own_gateway.admin()
    event = {"specversion": "1.0", "id": "1", "source": "/shop", "type": "test.again"}

    async def publish() -> int:
        answer = await admin.post_bytes("/events", msgspec.json.encode(event), "application/cloudevents+json")
        return answer.status_code

    assert [await publish(), await publish()] == [201, 200]
    await wait_until(lambda: own_gateway.pool.fetchval("SELECT count(*) = 0 FROM event WHERE relayed_at IS NULL"))
    await own_gateway.pool.execute("UPDATE event SET published_at = now() - interval '2 hours'")
    assert (await clean_up(admin, max_age_hours=1))["removed"] == 1
    assert await own_gateway.pool.fetchval("SELECT count(*) FROM event_key") == 0
    assert await publish() == 201
    # Whoever drops a partition leaves the names behind.
    await own_gateway.pool.execute("DELETE FROM event")
    assert [await publish(), await publish()] == [201, 200]


async def test_only_an_admin_may(owner: Caller) -> None:
    answer = await owner.client.delete(PATH)
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("hours", ["0", "-1", "8761", "abc", "1.5"])
async def test_a_wrong_age_is_refused(admin: Caller, hours: str) -> None:
    answer = await admin.client.delete(PATH, params={"max_age_hours": hours})
    assert (answer.status_code, answer.json()["validation_errors"][0]["field"]) == (400, "max_age_hours")
