"""`/inbox`: who gets a message, how often, and what an acknowledgement does."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from services.executor.tools.agent_deliver import AgentDeliver
from services.executor.tools.base import StepContext, Waiting
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import WaitKind
from tests.integration.gateway.bench import Bench, Caller
from tests.support.steps import TRACEPARENT, end, park, put_message, resume, running_step

STEP = "SELECT status, output, error FROM run_step WHERE run_id = $1"
WORK = "SELECT is_answered, run_at <= now() AS is_due FROM due_work WHERE id = $1"


async def take(caller: Caller, **parameters: int) -> list[dict[str, Any]]:
    answer = await caller.get("/inbox", **parameters)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def come_again(gateway: Bench, message_id: object) -> None:
    """As if its time of being invisible had passed."""
    query = "UPDATE inbox_message SET available_at = now() WHERE id = $1::text::uuid"
    await gateway.pool.execute(query, str(message_id))


async def awaited(gateway: Bench, redis: Redis, caller: Caller, *, is_parked: bool = True) -> StepContext:
    """A run that waits until the caller acknowledges."""
    step = await running_step(gateway.pool, caller.agent_id)
    waiting = await AgentDeliver(gateway.pool, redis).call({"body": {"n": 1}, "await_ack": True}, step)
    if is_parked:
        await park(gateway.pool, step, waiting)
    return step


async def test_a_message_is_handed_out_with_all_that_its_agent_needs(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner, visibility_seconds=60)
    assert {name: item[name] for name in ("body", "fence", "deliveries", "sender_id", "run_id", "step_id")} == {
        "body": {"n": 1},
        "fence": 1,
        "deliveries": 1,
        "sender_id": str(owner.agent_id),
        "run_id": str(step.run_id),
        "step_id": "ask",
    }
    assert (item["sender"], item["traceparent"]) == (f"agent {owner.agent_id}", TRACEPARENT)
    assert item["created_at"] < item["visible_until"] < item["expires_at"]


@pytest.mark.parametrize("body", [None, "text", 7, [1, {"a": None}], {"deep": [[]]}])
async def test_any_json_comes_out_as_it_went_in(gateway: Bench, owner: Caller, body: object) -> None:
    wrapped = {"body": body}
    message_id = await put_message(gateway.pool, owner.agent_id)
    await gateway.pool.execute("UPDATE inbox_message SET body = $2::jsonb -> 'body' WHERE id = $1", message_id, wrapped)
    (item,) = await take(owner)
    assert item["body"] == body


async def test_messages_come_oldest_first_and_no_more_than_asked_for(gateway: Bench, owner: Caller) -> None:
    for number in range(3):
        await put_message(gateway.pool, owner.agent_id, number)
    assert [item["body"] for item in await take(owner, limit=2)] == [0, 1]
    assert [item["body"] for item in await take(owner)] == [2]
    assert await take(owner) == []


async def test_what_is_not_acknowledged_comes_again_under_a_higher_fence(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    assert await take(owner) == []
    await come_again(gateway, message_id)
    (item,) = await take(owner)
    assert (item["fence"], item["deliveries"]) == (2, 2)


async def test_pollers_never_have_the_same_message_at_once(gateway: Bench, owner: Caller) -> None:
    for number in range(40):
        await put_message(gateway.pool, owner.agent_id, number)
    taken = await asyncio.gather(*(take(owner, limit=4) for _ in range(20)))
    bodies = [item["body"] for items in taken for item in items]
    assert sorted(bodies) == [*range(40)]


async def test_a_message_that_is_acknowledged_never_comes_again(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    (item,) = await take(owner)
    answer = await owner.post(f"/inbox/{message_id}/ack", {"fence": item["fence"]})
    assert (answer.status_code, answer.json()["details"]["is_run_told"]) == (200, False)
    await come_again(gateway, message_id)
    assert await take(owner) == []


async def test_acknowledged_twice_is_acknowledged(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    first = await owner.post(f"/inbox/{message_id}/ack", {"fence": 1})
    row = await gateway.row("SELECT * FROM inbox_message WHERE id = $1", message_id)
    second = await owner.post(f"/inbox/{message_id}/ack", {"fence": 1})
    assert (first.status_code, second.status_code) == (200, 200)
    assert await gateway.row("SELECT * FROM inbox_message WHERE id = $1", message_id) == row


ASKED = [("ack", {}), ("nack", {}), ("nack", {"dead": True}), ("extend", {"visibility_seconds": 60})]


@pytest.mark.parametrize(("verb", "body"), ASKED)
async def test_an_old_fence_changes_nothing(gateway: Bench, owner: Caller, verb: str, body: dict[str, Any]) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    await come_again(gateway, message_id)
    await take(owner)
    before = await gateway.row("SELECT * FROM inbox_message WHERE id = $1", message_id)
    for fence in (1, 3):
        answer = await owner.post(f"/inbox/{message_id}/{verb}", {"fence": fence, **body})
        assert (answer.status_code, answer.json()["error_code"]) == (409, "lease_lost")
    assert await gateway.row("SELECT * FROM inbox_message WHERE id = $1", message_id) == before


@pytest.mark.parametrize(("verb", "body"), ASKED)
async def test_what_is_settled_is_settled(gateway: Bench, owner: Caller, verb: str, body: dict[str, Any]) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id, settled_as="expired")
    await gateway.pool.execute("UPDATE inbox_message SET settled_at = now(), fence = 1 WHERE id = $1", message_id)
    answer = await owner.post(f"/inbox/{message_id}/{verb}", {"fence": 1, **body})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "lease_lost")


@pytest.mark.parametrize(("verb", "body"), ASKED)
async def test_the_message_of_another_agent_is_answered_as_if_it_did_not_exist(
    gateway: Bench, owner: Caller, admin: Caller, verb: str, body: dict[str, Any]
) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    for other in (await gateway.caller(), admin):
        assert await take(other) == []
        foreign = await other.post(f"/inbox/{message_id}/{verb}", {"fence": 1, **body})
        missing = await other.post(f"/inbox/{uuid4()}/{verb}", {"fence": 1, **body})
        assert (foreign.status_code, missing.status_code) == (404, 404)
        assert foreign.json()["detail"] == missing.json()["detail"]


async def test_a_message_that_is_given_back_comes_again_when_asked_to(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    await owner.post(f"/inbox/{message_id}/nack", {"fence": 1, "delay_seconds": 60})
    assert await take(owner) == []
    answer = await owner.post(f"/inbox/{message_id}/nack", {"fence": 1})
    assert answer.status_code == 200
    (item,) = await take(owner)
    assert item["fence"] == 2


async def test_a_message_can_be_kept_for_longer(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    (item,) = await take(owner, visibility_seconds=1)
    answer = await owner.post(f"/inbox/{message_id}/extend", {"fence": 1, "visibility_seconds": 600})
    assert answer.json()["details"]["visible_until"] > item["visible_until"]
    assert await gateway.pool.fetchval(
        "SELECT available_at > now() + interval '500 s' FROM inbox_message WHERE id = $1", message_id
    )


async def test_a_message_that_was_delivered_too_often_is_dead(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id, max_deliveries=2)
    for _ in range(2):
        assert len(await take(owner)) == 1
        await come_again(gateway, message_id)
    assert await take(owner) == []
    row = await gateway.row("SELECT settled_as, deliveries FROM inbox_message WHERE id = $1", message_id)
    assert tuple(row) == ("dead", 2)


async def test_its_last_delivery_can_still_be_acknowledged(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id, max_deliveries=1)
    await take(owner)
    await take(owner)
    assert (await owner.post(f"/inbox/{message_id}/ack", {"fence": 1})).status_code == 200


async def test_an_expired_message_is_handed_to_nobody(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await gateway.pool.execute("UPDATE inbox_message SET expires_at = now() WHERE id = $1", message_id)
    assert await take(owner) == []
    assert await gateway.pool.fetchval("SELECT settled_as FROM inbox_message WHERE id = $1", message_id) == "expired"


# --- a run that waits ---


async def ack(caller: Caller, item: dict[str, Any], **options: object) -> dict[str, Any]:
    answer = await caller.post(f"/inbox/{item['id']}/ack", {"fence": item["fence"], **options})
    assert answer.status_code == 200, answer.text
    details: dict[str, Any] = answer.json()["details"]
    return details


async def test_an_acknowledgement_ends_the_wait_of_its_run(gateway: Bench, owner: Caller, redis: Redis) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner)
    details = await ack(owner, item, output={"answer": 42})
    assert details["is_run_told"] is True
    assert tuple(await gateway.row(STEP, step.run_id)) == ("succeeded", {"answer": 42}, None)
    assert tuple(await gateway.row(WORK, step.run_id)) == (True, True)


async def test_an_acknowledgement_that_is_faster_than_the_executor_is_not_lost(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    step = await awaited(gateway, redis, owner, is_parked=False)
    (item,) = await take(owner)
    await ack(owner, item, output=["done"])
    await park(gateway.pool, step, Waiting(WaitKind.INBOX, 3600))
    assert tuple(await gateway.row(STEP, step.run_id)) == ("succeeded", ["done"], None)
    assert tuple(await gateway.row(WORK, step.run_id)) == (True, True)


async def test_a_message_that_its_agent_gives_up_fails_the_step(gateway: Bench, owner: Caller, redis: Redis) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner)
    body = {"fence": 1, "dead": True, "error": {"message": "I cannot do that."}}
    for _ in range(2):
        assert (await owner.post(f"/inbox/{item['id']}/nack", body)).status_code == 200
    status, _, error = await gateway.row(STEP, step.run_id)
    assert (status, error) == ("failed", {"class": "tool", "message": "I cannot do that.", "retryable": False})
    await come_again(gateway, item["id"])
    assert await take(owner) == []


async def test_a_message_that_was_delivered_too_often_fails_the_step(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    step = await awaited(gateway, redis, owner)
    await gateway.pool.execute("UPDATE inbox_message SET max_deliveries = 1 WHERE run_id = $1", step.run_id)
    (item,) = await take(owner)
    await come_again(gateway, item["id"])
    assert await take(owner) == []
    status, _, error = await gateway.row(STEP, step.run_id)
    message = "The message was delivered 1 times and never acknowledged."
    assert (status, error) == ("failed", {"class": "tool", "message": message, "retryable": False})
    assert tuple(await gateway.row(WORK, step.run_id)) == (True, True)


async def test_a_message_whose_run_has_ended_is_not_handed_out(gateway: Bench, owner: Caller, redis: Redis) -> None:
    step = await awaited(gateway, redis, owner)
    await end(gateway.pool, step)
    assert await take(owner) == []
    query = "SELECT settled_as FROM inbox_message WHERE run_id = $1"
    assert await gateway.pool.fetchval(query, step.run_id) == "expired"


async def test_an_acknowledgement_after_the_end_of_the_run_changes_nothing_of_it(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner)
    await end(gateway.pool, step)
    assert (await ack(owner, item))["is_run_told"] is False
    assert (await gateway.row(STEP, step.run_id))["status"] == "waiting"


async def test_an_acknowledgement_after_the_deadline_is_refused(gateway: Bench, owner: Caller, redis: Redis) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner)
    await gateway.pool.execute("UPDATE inbox_message SET expires_at = now() WHERE run_id = $1", step.run_id)
    answer = await owner.post(f"/inbox/{item['id']}/ack", {"fence": 1})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "lease_lost")


async def test_a_client_that_dies_between_delivery_and_acknowledgement_loses_nothing(
    gateway: Bench, owner: Caller, redis: Redis
) -> None:
    step = await awaited(gateway, redis, owner)
    (first,) = await take(owner, visibility_seconds=1)
    # The client is gone; nobody says so. The executor is killed as well and comes again.
    await AgentDeliver(gateway.pool, redis).call({"body": 1, "await_ack": True}, await resume(gateway.pool, step))
    await come_again(gateway, first["id"])
    (second,) = await take(owner)
    assert (second["id"], second["fence"]) == (first["id"], 2)
    assert (await ack(owner, second, output=1))["is_run_told"] is True
    assert (await gateway.row(STEP, step.run_id))["output"] == 1


async def test_many_acknowledgements_at_once_settle_it_once(gateway: Bench, owner: Caller, redis: Redis) -> None:
    step = await awaited(gateway, redis, owner)
    (item,) = await take(owner)
    path = f"/inbox/{item['id']}/ack"
    answers = await asyncio.gather(*(owner.post(path, {"fence": 1, "output": number}) for number in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    told = [number for number, answer in enumerate(answers) if answer.json()["details"].get("is_run_told")]
    assert [(await gateway.row(STEP, step.run_id))["output"]] == told


async def test_an_acknowledgement_leaves_no_audit_entry(gateway: Bench, owner: Caller) -> None:
    message_id = await put_message(gateway.pool, owner.agent_id)
    await take(owner)
    await owner.post(f"/inbox/{message_id}/ack", {"fence": 1})
    query = "SELECT count(*) FROM audit_log WHERE actor_id = $1"
    assert await gateway.pool.fetchval(query, owner.agent_id) == 0


@pytest.mark.parametrize(
    "query", ["wait=31", "wait=-1", "wait=x", "limit=0", "limit=101", "visibility_seconds=0", "visibility_seconds=3601"]
)
async def test_a_wrong_query_is_refused(owner: Caller, query: str) -> None:
    answer = await owner.client.get(f"/inbox?{query}")
    assert (answer.status_code, answer.json()["validation_errors"][0]["field"]) == (400, query.partition("=")[0])


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("ack", {}, "fence"),
    ("ack", {"fence": 0}, "fence"),
    ("ack", {"fence": "1"}, "fence"),
    ("ack", {"fence": 1, "result": 1}, "result"),
    ("nack", {"fence": 1, "delay_seconds": 3601}, "delay_seconds"),
    ("nack", {"fence": 1, "error": "no"}, "error"),
    ("nack", {"fence": 1, "error": {"message": "x" * 501}}, "error.message"),
    ("extend", {"fence": 1}, "visibility_seconds"),
    ("extend", {"fence": 1, "visibility_seconds": 0}, "visibility_seconds"),
]


@pytest.mark.parametrize(("verb", "body", "field"), WRONG)
async def test_a_wrong_body_is_refused(owner: Caller, verb: str, body: dict[str, Any], field: str) -> None:
    answer = await owner.post(f"/inbox/{uuid4()}/{verb}", body)
    assert (answer.status_code, answer.json()["validation_errors"][0]["field"]) == (422, field)


async def test_any_token_reads_its_own_inbox(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.EVENTS_READ)
    await put_message(gateway.pool, caller.agent_id)
    (item,) = await take(caller)
    assert item["sender_id"] == str(caller.agent_id)
    assert (await (await gateway.client()).get("/inbox")).status_code == 401
