"""Events in the formats of CloudEvents 1.0."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from shared.vocabulary.ids import random_id
from tests.integration.gateway.bench import Bench, Caller

ONE, SEVERAL = "application/cloudevents+json", "application/cloudevents-batch+json"


def cloud_event(**changes: object) -> dict[str, Any]:
    """`data` given as None leaves it out."""
    event = {"specversion": "1.0", "id": random_id(), "source": "/shop/1", "type": f"test.{random_id()}", **changes}
    return {name: value for name, value in event.items() if value is not ...}


async def publish(caller: Caller, body: object, content_type: str = ONE) -> httpx.Response:
    path = "/events/batch" if content_type.startswith(SEVERAL) else "/events"
    return await caller.post_bytes(path, msgspec.json.encode(body), content_type)


async def stored(gateway: Bench, answer: httpx.Response) -> dict[str, Any]:
    return dict(await gateway.row("SELECT * FROM event WHERE id = $1", UUID(answer.json()["id"])))


async def test_its_type_is_the_topic_and_its_data_the_payload(gateway: Bench, owner: Caller) -> None:
    event = cloud_event(
        data={"n": 1}, time="2030-01-31T09:00:00.5+02:00", subject="order 7", datacontenttype="text/json"
    )
    event |= {"comexampleflag": True, "comexamplecount": 3, "dataschema": "https://example.com/s"}
    answer = await publish(owner, event, f"{ONE}; charset=UTF-8")
    assert (answer.status_code, answer.json()["topic"]) == (201, event["type"])
    row = await stored(gateway, answer)
    assert (row["payload"], row["source_agent_id"], row["depth"]) == ({"n": 1}, owner.agent_id, 0)
    kept = ("id", "source", "subject", "time", "dataschema", "comexampleflag", "comexamplecount")
    assert row["attributes"] == {name: event[name] for name in kept}


async def test_tasks_see_its_attributes(gateway: Bench, owner: Caller) -> None:
    event = cloud_event(subject="order 7", data=None, time=None)
    await owner.create_task(
        schedule_kind="event", schedule_expr=event["type"], event_filter='event.attributes.subject == "order 7"'
    )
    answer = await publish(owner, event)
    assert answer.json()["listeners"] == 1
    work = await gateway.row("SELECT event FROM due_work WHERE event ->> 'topic' = $1", event["type"])
    assert work["event"]["attributes"] == {"id": event["id"], "source": "/shop/1", "subject": "order 7"}
    assert work["event"]["payload"] == {}
    # A plain event has none: the filter names what is not there, which is no match.
    assert (await owner.post("/events", {"topic": event["type"]})).json()["listeners"] == 0


async def test_the_same_source_and_id_is_the_same_event(gateway: Bench, owner: Caller) -> None:
    event = cloud_event(data={"n": 1})
    await owner.create_task(schedule_kind="event", schedule_expr=event["type"])
    first = await publish(owner, event)
    again = await publish(owner, {**event, "data": {"n": 2}})
    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json(), first.json()["listeners"]) == (first.json(), 1)
    count = "SELECT count(*) FROM {} WHERE {} = $1"
    assert await gateway.pool.fetchval(count.format("event", "topic"), event["type"]) == 1
    assert await gateway.pool.fetchval(count.format("due_work", "event ->> 'topic'"), event["type"]) == 1
    assert await gateway.pool.fetchval(count.format("audit_log", "subject_id"), first.json()["id"]) == 1


async def test_another_source_or_another_agent_makes_another_event(gateway: Bench, owner: Caller) -> None:
    event, other = cloud_event(), await gateway.caller()
    answers = [
        await publish(owner, event),
        await publish(owner, {**event, "source": "/shop/2"}),
        await publish(owner, {**event, "id": "2"}),
        await publish(other, event),
    ]
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len({answer.json()["id"] for answer in answers}) == 4


async def test_sent_by_many_at_once_it_is_one_event(owner: Caller) -> None:
    event = cloud_event()
    answers = await asyncio.gather(*(publish(owner, event) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_the_names_may_come_in_plain_json_too(owner: Caller) -> None:
    event = cloud_event()
    attributes = {"id": event["id"], "source": event["source"]}
    plain = await owner.post("/events", {"topic": event["type"], "attributes": attributes})
    assert (plain.status_code, (await publish(owner, event)).json()) == (201, plain.json())
    wrong = await owner.post("/events", {"topic": event["type"], "attributes": {"type": "a"}})
    assert wrong.json()["validation_errors"][0]["field"] == "attributes.type"


async def test_a_batch_holds_each_event_once(gateway: Bench, owner: Caller) -> None:
    first, second = cloud_event(), cloud_event()
    await publish(owner, first)
    answer = await publish(owner, [second, first, second], SEVERAL)
    told = answer.json()["events"]
    assert (answer.status_code, [each["topic"] for each in told]) == (
        201,
        [second["type"], first["type"], second["type"]],
    )
    assert told[0]["id"] == told[2]["id"]
    count = "SELECT count(*) FROM event WHERE topic = ANY ($1)"
    assert await gateway.pool.fetchval(count, [first["type"], second["type"]]) == 2
    assert (await publish(owner, [first, second], SEVERAL)).json()["events"] == [told[1], told[0]]


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"specversion": "0.3"}, "invalid_choice", "specversion"),
        ({"specversion": ...}, "required", "specversion"),
        ({"id": ...}, "required", "id"),
        ({"id": None}, "required", "id"),
        ({"id": ""}, "required", "id"),
        ({"id": "x" * 257}, "too_long", "id"),
        ({"id": 7}, "invalid_type", "id"),
        ({"source": ...}, "required", "source"),
        ({"type": "Order.Placed"}, "invalid_topic", "type"),
        ({"type": ...}, "required", "type"),
        ({"time": "yesterday"}, "invalid_datetime", "time"),
        ({"time": "2030-01-31T09:00:00"}, "invalid_datetime", "time"),
        ({"data": [1]}, "invalid_type", "data"),
        ({"data": "text"}, "invalid_type", "data"),
        ({"data_base64": "aGk="}, "unknown_field", "data_base64"),
        ({"datacontenttype": "text/xml"}, "invalid_choice", "datacontenttype"),
        ({"datacontenttype": 7}, "invalid_choice", "datacontenttype"),
        ({"my_extension": "x"}, "invalid_name", "my_extension"),
        ({"extension": {"a": 1}}, "invalid_type", "extension"),
        ({"extension": 1.5}, "invalid_type", "extension"),
        ({"extension": "x" * 9000}, "too_long", ""),
    ],
)
async def test_a_wrong_attribute_is_named(owner: Caller, changes: dict[str, object], code: str, field: str) -> None:
    event = cloud_event(**changes)
    answer = await publish(owner, event)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code), answer.text
    assert answer.json()["validation_errors"][0]["field"] == field
    within = (await publish(owner, [cloud_event(), event], SEVERAL)).json()
    assert within["validation_errors"][0]["field"] == f"[1].{field}".removesuffix(".")


async def test_data_that_is_too_large_is_named(owner: Caller) -> None:
    answer = await publish(owner, cloud_event(data={"text": ["x" * 40_000] * 2}))
    assert (answer.status_code, answer.json()["validation_errors"][0]["field"]) == (413, "data")


@pytest.mark.parametrize("body", [7, [], "text", None])
async def test_what_is_no_cloud_event_is_refused(owner: Caller, body: object) -> None:
    assert (await publish(owner, body)).status_code == 422


async def test_other_media_types_are_refused_with_those_that_are_known(owner: Caller) -> None:
    answer = await owner.post_bytes("/events", b"{}", SEVERAL)
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")
    assert ONE in answer.json()["detail"]
    assert (await owner.post_bytes("/tasks", b"{}", ONE)).status_code == 415
    assert (await owner.post_bytes("/events/batch", b"{}", ONE)).status_code == 415
