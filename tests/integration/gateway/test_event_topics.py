"""`GET /events/topics`."""

import asyncio
from datetime import datetime
from typing import Any

import pytest

from shared.vocabulary.ids import random_id
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.waiting import wait_until


def beginning() -> str:
    """One of the test's own: the gateway's database is shared."""
    return f"test.{random_id()}"


async def topics(caller: Caller, q: str, **parameters: str | int) -> dict[str, dict[str, Any]]:
    answer = await caller.get("/events/topics", q=q, **parameters)
    assert answer.status_code == 200, answer.text
    return {item["topic"]: item for item in answer.json()["items"]}


async def listen(caller: Caller, pattern: str, **fields: object) -> dict[str, Any]:
    return await caller.create_task(schedule_kind="event", schedule_expr=pattern, **fields)


async def test_they_are_what_tasks_wait_for_and_what_was_published(gateway: Bench, owner: Caller) -> None:
    q, other = beginning(), await gateway.caller()
    await listen(owner, f"{q}.a")
    await listen(other, f"{q}.a", event_filter="payload.n > 1")
    await listen(other, f"{q}.*")
    for _ in range(3):
        told = (await owner.post("/events", {"topic": f"{q}.b"})).json()

    found = await topics(owner, q)

    assert list(found) == sorted(found) == [f"{q}.*", f"{q}.a", f"{q}.b"]
    counted = {name: (each["listeners"], each["own_listeners"], each["published"]) for name, each in found.items()}
    assert counted == {f"{q}.*": (1, 0, 0), f"{q}.a": (3, 1, 0), f"{q}.b": (1, 0, 3)}
    assert [each["is_pattern"] for each in found.values()] == [True, False, False]
    last = found[f"{q}.b"]["last_published_at"]
    assert datetime.fromisoformat(last) == datetime.fromisoformat(told["published_at"])
    assert found[f"{q}.a"]["last_published_at"] is None


async def test_whoever_cannot_run_does_not_listen(gateway: Bench, owner: Caller) -> None:
    q = beginning()
    paused, canceled = [await listen(owner, f"{q}.a") for _ in range(2)]
    disabled = await gateway.caller()
    await listen(disabled, f"{q}.a")
    assert (await topics(owner, q))[f"{q}.a"]["listeners"] == 3
    await owner.post(f"/tasks/{paused['id']}/pause")
    await owner.post(f"/tasks/{canceled['id']}/cancel")
    await gateway.pool.execute("UPDATE agent SET status = 'disabled' WHERE id = $1", disabled.agent_id)
    # A name may be shown a moment longer; what is counted of it is of now.
    assert [each["listeners"] for each in (await topics(owner, q)).values()] == [0]


async def test_a_new_name_is_listed_within_a_second(owner: Caller) -> None:
    q = beginning()
    assert await topics(owner, q) == {}
    await listen(owner, f"{q}.a")

    async def is_listed() -> bool:
        return f"{q}.a" in await topics(owner, q)

    await wait_until(is_listed, 2)


async def test_a_topic_of_many_segments_counts_its_listeners_too(owner: Caller) -> None:
    q = beginning()
    await listen(owner, f"{q}.**")
    await listen(owner, f"{q}.a.*.c.d.e.f.g.h")
    await listen(owner, f"{q}.a.*")
    await owner.post("/events", {"topic": f"{q}.a.b.c.d.e.f.g.h"})
    assert (await topics(owner, q))[f"{q}.a.b.c.d.e.f.g.h"]["listeners"] == 2


async def test_topics_of_which_nothing_was_published_today_are_left_out(gateway: Bench, owner: Caller) -> None:
    q = beginning()
    await asyncio.gather(*(owner.post("/events", {"topic": f"{q}.{name}"}) for name in "abc"))
    await gateway.pool.execute(
        "UPDATE event SET published_at = published_at - interval '25 hours' WHERE topic = $1", f"{q}.b"
    )
    assert list(await topics(owner, q)) == [f"{q}.a", f"{q}.c"]


async def test_they_come_in_pages(owner: Caller) -> None:
    q = beginning()
    await owner.post("/events/batch", {"events": [{"topic": f"{q}.n{number}"} for number in range(5)]})
    pages = [(await owner.get("/events/topics", q=q, limit=2, offset=offset)).json() for offset in (0, 2, 4)]
    assert [[item["topic"][-1] for item in page["items"]] for page in pages] == [["0", "1"], ["2", "3"], ["4"]]
    assert [(page["total"], page["has_more"], page["is_total_capped"]) for page in pages] == [
        (5, True, False),
        (5, True, False),
        (5, False, False),
    ]


async def test_more_than_a_thousand_are_told_of_and_found_by_how_they_begin(owner: Caller) -> None:
    q = beginning()
    for first in (0, 550):
        batch = [{"topic": f"{q}.n{number:04}"} for number in range(first, first + 550)]
        await owner.post("/events/batch", {"events": batch})
    page = (await owner.get("/events/topics", q=q, limit=1)).json()
    assert (page["total"], page["is_total_capped"]) == (1000, True)
    assert len(await topics(owner, f"{q}.n109", limit=200)) == 10


@pytest.mark.parametrize("q", ["%", "_", "\\", "'--", "ă"])
async def test_what_no_topic_begins_with_is_an_empty_list(owner: Caller, q: str) -> None:
    assert await topics(owner, q) == {}


async def test_it_needs_its_scope(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.EVENTS_PUBLISH)
    assert (await caller.get("/events/topics")).status_code == 403
