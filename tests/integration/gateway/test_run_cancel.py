"""Runs that are stopped from outside, wherever they stand."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from services.executor.claimer import SQL as QUEUE
from shared.streams.broadcast import Broadcast
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.integration.gateway.test_run_callbacks import make_run, refusal
from tests.support.runs import finish_run, lease_run, park_run, release_run, step_of, work_of
from tests.support.waiting import wait_until

FINAL = ["succeeded", "failed", "dead", "skipped", "expired"]
ENTRIES = "SELECT details FROM audit_log WHERE subject_id = $1 AND action = 'run.canceled'"


@pytest.fixture
async def run_id(owner: Caller) -> UUID:
    return await make_run(owner)


async def stand(pool: asyncpg.Pool, run_id: UUID, state: str) -> None:
    match state:
        case "waiting":
            await park_run(pool, run_id)
        case "retrying":
            await release_run(pool, run_id, "retrying")
        case "lost":
            await lease_run(pool, run_id)
            await pool.execute("UPDATE due_work SET locked_until = now() - interval '1 s' WHERE id = $1", run_id)
        case "held":
            await pool.execute("UPDATE due_work SET held_until = now() + interval '1 h' WHERE id = $1", run_id)


@pytest.mark.parametrize("state", ["queued", "waiting", "retrying", "lost", "held"])
async def test_what_no_executor_holds_is_canceled_at_once(
    gateway: Bench, owner: Caller, run_id: UUID, state: str
) -> None:
    await stand(gateway.pool, run_id, state)
    answer = await owner.post(f"/runs/{run_id}/cancel", {"reason": "a mistake"})
    assert answer.json()["details"] == {"run_id": str(run_id), "status": "canceled"}
    run = (await owner.get(f"/runs/{run_id}")).json()
    assert (run["status"], run["success"], run["next_attempt_at"]) == ("canceled", None, None)
    assert (run["error"]["class"], run["error"]["message"]) == ("canceled", "The run was canceled: a mistake")
    assert run["finished_at"] is not None
    assert await work_of(gateway.pool, run_id) is None
    (entry,) = await gateway.pool.fetch(ENTRIES, str(run_id))
    assert entry["details"]["reason"] == "a mistake"


async def test_what_an_executor_holds_is_asked_to_stop(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    await lease_run(gateway.pool, run_id)
    for _ in range(2):
        answer = await owner.post(f"/runs/{run_id}/cancel")
        assert (answer.status_code, answer.json()["details"]["status"]) == (200, "running")
    run = (await owner.get(f"/runs/{run_id}")).json()
    assert (run["status"], run["finished_at"]) == ("running", None)
    assert run["cancel_requested_at"] is not None
    assert await work_of(gateway.pool, run_id) is not None
    assert len(await gateway.pool.fetch(ENTRIES, str(run_id))) == 1


async def test_every_executor_is_told_of_a_cancel(gateway: Bench, owner: Caller, run_id: UUID, redis: Redis) -> None:
    await lease_run(gateway.pool, run_id)
    await owner.post(f"/runs/{run_id}/cancel")
    await wait_until(lambda: redis.xlen(Broadcast.CANCELS))


async def test_every_executor_is_told_when_a_task_is_canceled(
    gateway: Bench, owner: Caller, run_id: UUID, redis: Redis
) -> None:
    await lease_run(gateway.pool, run_id)
    task_id = (await owner.get(f"/runs/{run_id}")).json()["task_id"]
    await redis.delete(Broadcast.CANCELS)
    await owner.post(f"/tasks/{task_id}/cancel")
    await wait_until(lambda: redis.xlen(Broadcast.CANCELS))


async def test_nothing_of_a_canceled_run_is_left_waiting(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id, step_id="ask", kind="approval")
    await gateway.pool.execute(
        "INSERT INTO approval (id, agent_id, task_id, run_id, step_id, prompt, deadline_at) "
        "VALUES ($1, $2, $3, $4, 'ask', 'May I?', now() + interval '1 h')",
        uuid4(),
        owner.agent_id,
        uuid4(),
        run_id,
    )
    await gateway.pool.execute(
        "INSERT INTO inbox_message (id, agent_id, run_id, step_id, sender_id, body, expires_at) "
        "VALUES ($1, $2, $3, 'tell', $2, '{}', now() + interval '1 h')",
        uuid4(),
        owner.agent_id,
        run_id,
    )
    await owner.post(f"/runs/{run_id}/cancel")
    step = await step_of(gateway.pool, run_id, "ask")
    assert (step["status"], step["error"]["class"]) == ("failed", "canceled")
    assert (await gateway.row("SELECT status FROM approval WHERE run_id = $1", run_id))["status"] == "expired"
    message = await gateway.row("SELECT settled_as FROM inbox_message WHERE run_id = $1", run_id)
    assert message["settled_as"] == "expired"


async def test_what_stood_back_for_a_canceled_run_may_go(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    first, second = [
        UUID((await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]) for _ in range(2)
    ]
    await park_run(gateway.pool, first)
    await stand(gateway.pool, second, "held")
    await owner.post(f"/runs/{first}/cancel")
    work = await work_of(gateway.pool, second)
    assert work is not None
    assert (work["held_until"], work["waits_seconds"] <= 0) == (None, True)


async def test_a_canceled_run_may_be_canceled_again_and_a_finished_one_not(
    gateway: Bench, owner: Caller, run_id: UUID
) -> None:
    answers = [await owner.post(f"/runs/{run_id}/cancel") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    for status in FINAL:
        finished = await make_run(owner)
        await finish_run(gateway.pool, finished, status)
        assert refusal(await owner.post(f"/runs/{finished}/cancel")) == (409, "run_finished")


async def test_a_run_is_canceled_by_its_owner_with_the_scope_or_an_admin(
    gateway: Bench, admin: Caller, run_id: UUID
) -> None:
    other, reader = await gateway.caller(), await gateway.caller(Scope.RUNS_READ)
    assert refusal(await other.post(f"/runs/{run_id}/cancel")) == (404, "not_found")
    assert refusal(await other.post(f"/runs/{uuid4()}/cancel")) == (404, "not_found")
    assert refusal(await reader.post(f"/runs/{run_id}/cancel")) == (403, "insufficient_scope")
    assert await work_of(gateway.pool, run_id) is not None
    assert (await admin.post(f"/runs/{run_id}/cancel")).status_code == 200


@pytest.mark.parametrize("body", [{"reason": "x" * 501}, {"why": "x"}])
async def test_a_cancel_that_says_too_much_is_refused(owner: Caller, run_id: UUID, body: dict[str, Any]) -> None:
    assert (await owner.post(f"/runs/{run_id}/cancel", body)).status_code == 422


async def test_of_many_cancels_at_once_one_is_recorded(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    answers = await asyncio.gather(*(owner.post(f"/runs/{run_id}/cancel") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(await gateway.pool.fetch(ENTRIES, str(run_id))) == 1


async def test_a_cancel_against_a_claim_has_one_winner(own_gateway: Bench) -> None:
    caller, pool = await own_gateway.admin(), own_gateway.pool
    for _ in range(25):
        run_id = await make_run(caller)
        answer, claimed = await asyncio.gather(
            caller.post(f"/runs/{run_id}/cancel"), pool.fetch(QUEUE["claim"].sql, 1, "e", 30.0, None)
        )
        run = await own_gateway.row("SELECT * FROM task_run WHERE id = $1", run_id)
        if claimed:
            assert (run["status"], answer.json()["details"]["status"]) == ("running", "running")
            assert run["cancel_requested_at"] is not None
        else:
            assert (run["status"], answer.json()["details"]["status"]) == ("canceled", "canceled")
            assert await work_of(pool, run_id) is None
        await pool.execute("DELETE FROM due_work")


async def test_a_cancel_against_an_answer_has_one_winner(gateway: Bench, owner: Caller) -> None:
    for _ in range(10):
        run_id = await make_run(owner)
        await park_run(gateway.pool, run_id)
        cancel, complete = await asyncio.gather(
            owner.post(f"/runs/{run_id}/cancel"), owner.post(f"/runs/{run_id}/complete", {"step_id": "call"})
        )
        assert cancel.status_code == 200
        expected = "succeeded" if complete.status_code == 200 else "failed"
        assert (await step_of(gateway.pool, run_id))["status"] == expected
