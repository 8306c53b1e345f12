"""Finished runs that are done again."""

from uuid import UUID, uuid4

import pytest

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.integration.gateway.test_run_callbacks import make_run, refusal
from tests.support.runs import finish_run, lease_run, park_run, release_run, work_of

EVENT = {"id": "1", "topic": "email.received", "payload": {"from": "a"}}


@pytest.fixture
async def run_id(gateway: Bench, owner: Caller) -> UUID:
    """A finished one."""
    made = await make_run(owner)
    await finish_run(gateway.pool, made)
    return made


async def replay(caller: Caller, run_id: UUID) -> UUID:
    answer = await caller.post(f"/runs/{run_id}/replay")
    assert (answer.status_code, answer.json()["details"]["replay_of"]) == (200, str(run_id))
    return UUID(answer.json()["details"]["run_id"])


@pytest.mark.parametrize("status", ["succeeded", "failed", "dead", "canceled", "skipped", "expired"])
async def test_a_finished_run_is_done_again_as_a_run_of_its_own(
    gateway: Bench, owner: Caller, run_id: UUID, status: str
) -> None:
    await gateway.pool.execute("UPDATE task_run SET event = $2, status = $3 WHERE id = $1", run_id, EVENT, status)
    new_id = await replay(owner, run_id)
    run = (await owner.get(f"/runs/{new_id}")).json()
    assert (run["status"], run["source"], run["replay_of"], run["event"]) == ("queued", "manual", str(run_id), EVENT)
    work = await work_of(gateway.pool, new_id)
    assert work is not None
    assert (work["event"], work["source"], work["waits_seconds"] <= 0) == (EVENT, "manual", True)
    assert (await owner.get(f"/runs/{run_id}")).json()["status"] == status


async def test_each_replay_is_a_run_of_its_own_with_its_entry(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    made = {await replay(owner, run_id) for _ in range(3)}
    assert len(made) == 3
    for new_id in made:
        entry = await gateway.row("SELECT action, details FROM audit_log WHERE subject_id = $1", str(new_id))
        assert (entry["action"], entry["details"]["replay_of"]) == ("run.replayed", str(run_id))


async def test_what_followed_an_outcome_follows_it_again(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    await gateway.pool.execute("UPDATE task_run SET source = 'hook', event = $2 WHERE id = $1", run_id, EVENT)
    work = await work_of(gateway.pool, await replay(owner, run_id))
    assert work is not None
    assert (work["source"], work["event"]) == ("hook", EVENT)


@pytest.mark.parametrize("state", ["queued", "running", "waiting", "retrying"])
async def test_an_unfinished_run_is_not_done_again(gateway: Bench, owner: Caller, state: str) -> None:
    run_id = await make_run(owner)
    match state:
        case "running":
            await lease_run(gateway.pool, run_id)
        case "waiting":
            await park_run(gateway.pool, run_id)
        case "retrying":
            await release_run(gateway.pool, run_id, "retrying")
    assert refusal(await owner.post(f"/runs/{run_id}/replay")) == (409, "run_not_finished")


async def test_a_run_of_a_paused_task_is_done_again_and_of_a_canceled_one_not(
    gateway: Bench, owner: Caller, run_id: UUID
) -> None:
    task_id = (await owner.get(f"/runs/{run_id}")).json()["task_id"]
    await owner.post(f"/tasks/{task_id}/pause")
    await replay(owner, run_id)
    await gateway.pool.execute("UPDATE task SET status = 'completed' WHERE id = $1", UUID(task_id))
    await replay(owner, run_id)
    await gateway.pool.execute("UPDATE task SET status = 'canceled' WHERE id = $1", UUID(task_id))
    assert refusal(await owner.post(f"/runs/{run_id}/replay")) == (409, "task_not_active")


async def test_a_replay_that_is_asked_for_twice_under_one_key_is_one_run(owner: Caller, run_id: UUID) -> None:
    answers = [await owner.post(f"/runs/{run_id}/replay", headers={"Idempotency-Key": "again"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["Idempotency-Replayed"] == "true"


async def test_a_run_is_replayed_by_its_owner_with_the_scope_or_an_admin(
    gateway: Bench, admin: Caller, run_id: UUID
) -> None:
    other, reader = await gateway.caller(), await gateway.caller(Scope.RUNS_READ)
    assert refusal(await other.post(f"/runs/{run_id}/replay")) == (404, "not_found")
    assert refusal(await other.post(f"/runs/{uuid4()}/replay")) == (404, "not_found")
    assert refusal(await reader.post(f"/runs/{run_id}/replay")) == (403, "insufficient_scope")
    await replay(admin, run_id)
