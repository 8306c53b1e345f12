"""`GET /events/stream/recent`."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from shared.vocabulary.ids import random_id, uuid7
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller


def beginning() -> str:
    return f"test.{random_id()}"


async def publish(caller: Caller, *topics: str, **fields: object) -> list[dict[str, Any]]:
    """In this order, in one batch; each is told its number."""
    batch = [{"topic": topic, "payload": {"n": n}, **fields} for n, topic in enumerate(topics)]
    answer = await caller.post("/events/batch", {"events": batch})
    assert answer.status_code == 201, answer.text
    told: list[dict[str, Any]] = answer.json()["events"]
    return told


async def recent(caller: Caller, **parameters: str | int) -> dict[str, Any]:
    answer = await caller.get("/events/stream/recent", **parameters)
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


def numbers(page: dict[str, Any]) -> list[int]:
    return [item["payload"]["n"] for item in page["items"]]


async def test_they_are_those_of_all_agents_newest_first(gateway: Bench, owner: Caller) -> None:
    q, other = beginning(), await gateway.caller()
    told = await publish(other, f"{q}.a", f"{q}.b", attributes={"subject": "s"})
    page = await recent(owner, topic=f"{q}.**")
    assert (numbers(page), page["total"], page["has_more"], page["limit"]) == ([1, 0], 2, False, 50)
    assert page["items"][1] == {
        "id": told[0]["id"],
        "topic": f"{q}.a",
        "payload": {"n": 0},
        "is_payload_omitted": False,
        "attributes": {"subject": "s"},
        "source_agent_id": str(other.agent_id),
        "published_by": told[0]["published_by"],
        "published_at": told[0]["published_at"],
        "depth": 0,
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.b", [1]),
        ("a.*", [2, 1]),
        ("a.**", [3, 2, 1]),
        ("*.b", [4, 1]),
        ("*", [0]),
        ("**", [4, 3, 2, 1, 0]),
        ("a.b.*.d", []),
        ("nothing", []),
    ],
)
async def test_a_pattern_chooses_among_them(owner: Caller, pattern: str, expected: list[int]) -> None:
    q = beginning()
    await publish(owner, *(f"{q}.{name}" for name in ("a", "a.b", "a.c", "a.b.c", "b.b")))
    assert numbers(await recent(owner, topic=f"{q}.{pattern}")) == expected


async def test_without_a_topic_they_are_all(owner: Caller) -> None:
    told = await publish(owner, *([beginning()] * 3))
    page = await recent(owner, limit=3)
    assert [item["id"] for item in page["items"]] == [each["id"] for each in reversed(told)]
    assert page["total"] >= 3


async def test_a_cursor_leads_through_all_of_them(owner: Caller) -> None:
    q = beginning()
    await publish(owner, *([f"{q}.a", f"{q}.b"] * 5))
    for pattern in (f"{q}.**", f"{q}.a"):
        seen, cursor = [], None
        while True:
            page = await recent(owner, topic=pattern, limit=3, **({"cursor": cursor} if cursor else {}))
            seen += numbers(page)
            cursor = page["next_cursor"]
            if not page["has_more"]:
                break
        assert cursor is None
        assert seen == [n for n in range(9, -1, -1) if pattern.endswith("**") or n % 2 == 0]


async def test_what_came_after_one_of_them_is_asked_for_by_its_id(owner: Caller) -> None:
    name = beginning()
    told = await publish(owner, *([name] * 4))
    page = await recent(owner, topic=name, after_id=told[1]["id"])
    assert (numbers(page), page["total"]) == ([3, 2], 2)
    refused = await owner.get("/events/stream/recent", after_id=str(uuid4()))
    assert (refused.status_code, refused.json()["error_code"]) == (400, "invalid_query")


async def test_a_thousand_fit_into_one_page(owner: Caller) -> None:
    name = beginning()
    await publish(owner, *([name] * 1000))
    page = await recent(owner, topic=name, limit=1000)
    assert numbers(page) == list(range(999, -1, -1))


async def test_of_many_large_payloads_the_older_ones_are_left_out(owner: Caller) -> None:
    name, large = beginning(), {"text": "x" * 60_000}
    for _ in range(2):
        await owner.post("/events/batch", {"events": [{"topic": name, "payload": large}] * 40})
    items = (await recent(owner, topic=name, limit=80))["items"]
    omitted = [item["is_payload_omitted"] for item in items]
    assert (omitted, omitted.count(True)) == (sorted(omitted), 80 - 4 * 1024 * 1024 // 60_012)
    assert [item["payload"] for item in items] == [None if is_omitted else large for is_omitted in omitted]


async def test_an_event_that_a_late_step_published_is_where_its_time_is(gateway: Bench, owner: Caller) -> None:
    """Its id shows when its run was due."""
    name = beginning()
    await publish(owner, name)
    await gateway.pool.execute(
        "INSERT INTO event (id, topic, payload, source_agent_id) VALUES ($1, $2, $3, $4)",
        uuid7(datetime(2026, 1, 1, tzinfo=UTC)),
        name,
        {"n": 7},
        owner.agent_id,
    )
    assert numbers(await recent(owner, topic=name)) == [7, 0]


@pytest.mark.parametrize(
    "parameters",
    [
        {"limit": 0},
        {"limit": 1001},
        {"topic": "Order"},
        {"topic": ""},
        {"topic": "a.**.b"},
        {"after_id": "7"},
        {"cursor": "AAAA"},
        {"offset": 1},
    ],
)
async def test_a_wrong_parameter_is_refused(owner: Caller, parameters: dict[str, str | int]) -> None:
    answer = await owner.get("/events/stream/recent", **parameters)
    assert answer.status_code == 400
    assert answer.json()["validation_errors"][0]["field"] == next(iter(parameters))


async def test_a_cursor_is_good_for_its_reader_and_its_topic_only(gateway: Bench, owner: Caller) -> None:
    name = beginning()
    await publish(owner, name, name)
    cursor = (await recent(owner, topic=name, limit=1))["next_cursor"]
    other = await gateway.caller()
    assert (await other.get("/events/stream/recent", topic=name, cursor=cursor)).status_code == 400
    assert (await owner.get("/events/stream/recent", topic=beginning(), cursor=cursor)).status_code == 400


async def test_a_pattern_that_could_cover_too_many_topics_is_refused(owner: Caller) -> None:
    q = beginning()
    for first in (0, 550):
        await publish(owner, *(f"{q}.n{number}.x" for number in range(first, first + 550)))
    answer = await owner.get("/events/stream/recent", topic=f"{q}.*.x")
    assert (answer.status_code, answer.json()["validation_errors"][0]["code"]) == (400, "out_of_range")
    assert (await recent(owner, topic=f"{q}.n7.*"))["total"] == 1


async def test_it_needs_its_scope(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.EVENTS_PUBLISH)
    assert (await caller.get("/events/stream/recent")).status_code == 403
