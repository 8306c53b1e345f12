"""Whoever was sent a secret may say it again: it is neither stored nor shown then."""

import base64
import json
from typing import Any
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller, payload_with
from tests.integration.gateway.test_run_callbacks import Target, target_of
from tests.support.runs import park_run, step_of
from tests.support.steps import put_message

SECRET = "s3cret-of-the-receiver"
SAID = {"plain": f"Bearer {SECRET}", "coded": [base64.b64encode(f"user:{SECRET}".encode()).decode()], SECRET: 1}
FAILURE = {"webhook": {"url": "https://example.com/", "headers": {"X": "${secrets.of_hook}"}}}


async def made_run(gateway: Bench, owner: Caller, **columns: object) -> UUID:
    """Of a task that refers to `secrets.api_key`, and whose hook refers to `secrets.of_hook`."""
    for name, value in (("api_key", SECRET), ("of_hook", "hook-value"), ("unused", "unused-value")):
        await owner.put(f"/secrets/{name}", {"value": value})
    task = await owner.create_task()
    payload = payload_with(url="https://example.com/", headers={"X-Key": "${secrets.api_key}"})
    await gateway.pool.execute(
        "UPDATE task SET payload = $2, on_failure = $3 WHERE id = $1",
        task["id"],
        columns.get("payload", payload),
        FAILURE,
    )
    run_id = UUID((await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"])
    await park_run(gateway.pool, run_id, kind=str(columns.get("kind", "callback")))
    return run_id


@pytest.fixture
async def run_id(gateway: Bench, owner: Caller) -> UUID:
    return await made_run(gateway, owner)


@pytest.fixture
async def target(gateway: Bench, run_id: UUID) -> Target:
    return await target_of(gateway, run_id)


async def shown(owner: Caller, run_id: UUID) -> str:
    answers = [await owner.get(path) for path in (f"/runs/{run_id}", f"/runs/{run_id}/logs")]
    return json.dumps([answer.json() for answer in answers])


@pytest.mark.parametrize(
    ("verb", "told"),
    [
        ("complete", {"output": SAID}),
        ("fail", {"message": f"got {SECRET}", "output": SAID}),
        ("heartbeat", {"progress": SAID}),
        ("log", {"message": f"got {SECRET}"}),
        ("log", {"lines": [{"message": f"got {SECRET} and hook-value"}]}),
    ],
)
async def test_what_a_target_says_is_kept_without_the_secrets_of_its_run(
    gateway: Bench, owner: Caller, target: Target, verb: str, told: dict[str, Any]
) -> None:
    assert (await target.say(verb, **told)).status_code == 200
    text = await shown(owner, target.run_id)
    assert "[secret]" in text
    assert SECRET not in text
    assert base64.b64encode(SECRET.encode()).decode()[4:-4] not in text
    assert "hook-value" not in text
    stored = await gateway.pool.fetch("SELECT to_jsonb(s)::text AS t FROM run_step s WHERE run_id = $1", target.run_id)
    assert SECRET not in "".join(row["t"] for row in stored)


async def test_the_same_answer_with_a_secret_twice_is_answered_twice(target: Target) -> None:
    for _ in range(2):
        assert (await target.say("complete", output=SAID)).status_code == 200


async def test_a_secret_that_the_task_does_not_refer_to_is_not_looked_for(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await target.say("complete", output="unused-value")
    assert (await step_of(gateway.pool, run_id))["output"] == "unused-value"


@pytest.mark.parametrize("reference", ["${secrets['api_key']}", '${secrets["api_key"] + "x"}', "${secrets . api_key}"])
async def test_every_way_to_write_a_reference_counts(gateway: Bench, owner: Caller, reference: str) -> None:
    run_id = await made_run(gateway, owner, payload=payload_with(url="https://example.com/", json=reference))
    await (await target_of(gateway, run_id)).say("complete", output=SECRET)
    assert (await step_of(gateway.pool, run_id))["output"] == "[secret]"


async def test_a_secret_that_cannot_be_opened_hinders_nobody(gateway: Bench, owner: Caller, target: Target) -> None:
    await gateway.pool.execute(
        "UPDATE secret SET key_id = 'other' WHERE agent_id = $1 AND name = 'of_hook'", owner.agent_id
    )
    assert (await target.say("complete", output=SAID)).status_code == 200
    assert SECRET not in await shown(owner, target.run_id)


@pytest.mark.parametrize(
    ("verb", "told"),
    [("ack", {"output": SAID}), ("nack", {"dead": True, "error": {"message": f"got {SECRET}"}})],
)
async def test_what_an_agent_says_of_a_message_is_kept_without_the_secrets_of_the_run(
    gateway: Bench, owner: Caller, verb: str, told: dict[str, Any]
) -> None:
    run_id, recipient = await made_run(gateway, owner, kind="inbox"), await gateway.caller()
    message_id = await put_message(
        gateway.pool, recipient.agent_id, run_id=run_id, step_id="call", is_awaited=True, fence=1, deliveries=1
    )
    answer = await recipient.post(f"/inbox/{message_id}/{verb}", {"fence": 1, **told})
    assert answer.json()["details"]["is_run_told"]
    text = await shown(owner, run_id)
    assert "[secret]" in text
    assert SECRET not in text


async def test_the_token_of_a_run_is_worth_nothing_once_its_agent_is_disabled(
    gateway: Bench, owner: Caller, target: Target, run_id: UUID
) -> None:
    await gateway.pool.execute("UPDATE agent SET status = 'disabled' WHERE id = $1", owner.agent_id)
    for verb, told in (("complete", {}), ("fail", {"message": "no"}), ("heartbeat", {}), ("log", {"message": "x"})):
        assert (await target.say(verb, **told)).status_code == 401
    assert (await step_of(gateway.pool, run_id))["status"] == "waiting"
    await gateway.pool.execute("UPDATE agent SET status = 'active' WHERE id = $1", owner.agent_id)
    assert (await target.say("complete")).status_code == 200
