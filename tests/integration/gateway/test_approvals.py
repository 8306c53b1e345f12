"""`/approvals`: who decides, and what a decision does to the run that waits for it."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.executor.tools.approval_request import ApprovalRequest
from services.executor.tools.base import StepContext
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.steps import end, park, running_step

STEP = "SELECT status, output, error FROM run_step WHERE run_id = $1"
WORK = "SELECT is_answered, run_at <= now() AS is_due FROM due_work WHERE id = $1"
AUDIT = "SELECT action, subject_type, details FROM audit_log WHERE subject_id = $1"


async def ask(gateway: Bench, owner: Caller, *, is_parked: bool = True, **arguments: object) -> tuple[StepContext, str]:
    """A step that waits, and the id of its request."""
    step = await running_step(gateway.pool, owner.agent_id)
    waiting: Any = await ApprovalRequest(gateway.pool).call({"prompt": "Send it?", **arguments}, step)
    if is_parked:
        await park(gateway.pool, step, waiting)
    return step, waiting.output["approval_id"]


async def test_a_request_is_shown_to_its_agent(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner, details={"to": "a@example.com"})
    shown = (await owner.get(f"/approvals/{approval_id}")).json()
    assert {name: shown[name] for name in shown if not name.endswith("_at")} == {
        "id": approval_id,
        "task_id": str(step.task_id),
        "run_id": str(step.run_id),
        "step_id": "ask",
        "created_by": str(owner.agent_id),
        "prompt": "Send it?",
        "details": {"to": "a@example.com"},
        "status": "pending",
        "decided_by": None,
        "note": None,
    }
    assert shown["created_at"] < shown["deadline_at"]
    assert shown["decided_at"] is None


async def test_an_approval_is_the_output_of_the_step_and_leaves_an_audit_entry(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner)
    answer = await owner.post(f"/approvals/{approval_id}/approve", {"note": "go"})
    assert (answer.status_code, answer.json()["details"]["status"]) == (200, "approved")
    status, output, _ = await gateway.row(STEP, step.run_id)
    shown = (await owner.get(f"/approvals/{approval_id}")).json()
    assert status == "succeeded"
    assert (output["decision"], output["decided_by"], output["note"]) == ("approved", f"agent {owner.agent_id}", "go")
    assert (shown["status"], shown["decided_by"], shown["note"]) == ("approved", output["decided_by"], "go")
    assert shown["decided_at"][:19] == output["decided_at"][:19]
    assert tuple(await gateway.row(WORK, step.run_id)) == (True, True)
    entry = await gateway.row(AUDIT, approval_id)
    assert tuple(entry) == (
        *("approval.approved", "approval"),
        {"run_id": str(step.run_id), "step_id": "ask", "note": "go"},
    )


async def test_a_rejection_fails_the_step(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner)
    await owner.post(f"/approvals/{approval_id}/reject", {"note": "too dear"})
    status, _, error = await gateway.row(STEP, step.run_id)
    message = f"The request was rejected by agent {owner.agent_id}: too dear"
    assert (status, error) == ("failed", {"class": "tool", "message": message, "retryable": False})
    assert (await gateway.row(AUDIT, approval_id))["action"] == "approval.rejected"


async def test_a_rejection_can_be_an_output(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner, on_reject="continue")
    await owner.post(f"/approvals/{approval_id}/reject")
    status, output, _ = await gateway.row(STEP, step.run_id)
    assert (status, output["decision"], output["note"]) == ("succeeded", "rejected", None)


async def test_a_decision_that_is_faster_than_the_executor_is_not_lost(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner, is_parked=False)
    assert (await owner.post(f"/approvals/{approval_id}/approve")).status_code == 200
    assert (await gateway.row(STEP, step.run_id))["status"] == "succeeded"
    assert (await gateway.row(WORK, step.run_id))["is_answered"]


async def test_decided_twice_the_same_way_is_decided_and_the_other_way_refused(gateway: Bench, owner: Caller) -> None:
    _, approval_id = await ask(gateway, owner)
    first = await owner.post(f"/approvals/{approval_id}/approve")
    again = await owner.post(f"/approvals/{approval_id}/approve", {"note": "really"})
    other = await owner.post(f"/approvals/{approval_id}/reject")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert other.json()["error_code"] == "already_decided"
    assert (await owner.get(f"/approvals/{approval_id}")).json()["note"] is None
    assert len(await gateway.pool.fetch(AUDIT, approval_id)) == 1


async def test_of_many_who_decide_at_once_one_does(gateway: Bench, owner: Caller) -> None:
    _, approval_id = await ask(gateway, owner)
    verbs = ["approve", "reject"] * 5
    answers = await asyncio.gather(*(owner.post(f"/approvals/{approval_id}/{verb}") for verb in verbs))
    decided = {verb for verb, answer in zip(verbs, answers, strict=True) if answer.status_code == 200}
    assert len(decided) == 1
    assert {answer.status_code for answer in answers} == {200, 409}
    assert len(await gateway.pool.fetch(AUDIT, approval_id)) == 1


@pytest.mark.parametrize("verb", ["approve", "reject"])
async def test_when_the_run_has_ended_nothing_is_decided(gateway: Bench, owner: Caller, verb: str) -> None:
    step, approval_id = await ask(gateway, owner)
    await end(gateway.pool, step)
    answer = await owner.post(f"/approvals/{approval_id}/{verb}")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "run_not_waiting")
    assert (await owner.get(f"/approvals/{approval_id}")).json()["status"] == "expired"
    assert await gateway.pool.fetch(AUDIT, approval_id) == []


async def test_after_the_deadline_nothing_is_decided(gateway: Bench, owner: Caller) -> None:
    step, approval_id = await ask(gateway, owner)
    await gateway.pool.execute("UPDATE approval SET deadline_at = now() WHERE run_id = $1", step.run_id)
    answer = await owner.post(f"/approvals/{approval_id}/approve")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "approval_expired")
    assert (await owner.get("/approvals", status="expired")).json()["total"] == 1


async def test_requests_are_listed_newest_first_by_status(gateway: Bench, owner: Caller) -> None:
    asked = [(await ask(gateway, owner))[1] for _ in range(3)]
    await owner.post(f"/approvals/{asked[0]}/approve")
    pending = (await owner.get("/approvals", status="pending")).json()
    assert {item["id"] for item in pending["items"]} == {*asked[1:]}
    everything = (await owner.get("/approvals", limit=2)).json()
    assert (everything["total"], everything["has_more"], len(everything["items"])) == (3, True, 2)
    ids = [item["id"] for item in everything["items"]]
    assert ids == sorted(ids, reverse=True)
    beyond = (await owner.get("/approvals", offset=10)).json()
    assert (beyond["items"], beyond["total"]) == ([], 3)


@pytest.mark.parametrize("verb", ["approve", "reject", ""])
async def test_the_request_of_another_agent_is_answered_as_if_it_did_not_exist(
    gateway: Bench, owner: Caller, verb: str
) -> None:
    _, approval_id = await ask(gateway, owner)
    other = await gateway.caller()
    for each in (approval_id, str(uuid4())):
        path = f"/approvals/{each}/{verb}".rstrip("/")
        answer = await (other.post(path) if verb else other.get(path))
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such request for approval.")
    assert (await other.get("/approvals")).json()["items"] == []
    assert (await owner.get(f"/approvals/{approval_id}")).json()["status"] == "pending"


async def test_an_admin_decides_for_everybody(gateway: Bench, owner: Caller, admin: Caller) -> None:
    step, approval_id = await ask(gateway, owner)
    assert (await admin.post(f"/approvals/{approval_id}/approve")).status_code == 200
    assert (await gateway.row(STEP, step.run_id))["output"]["decided_by"] == f"agent {admin.agent_id}"


async def test_deciding_needs_the_scope_to_change_tasks(gateway: Bench) -> None:
    reader = await gateway.caller(Scope.TASKS_READ)
    _, approval_id = await ask(gateway, reader)
    assert (await reader.get(f"/approvals/{UUID(approval_id)}")).status_code == 200
    answer = await reader.post(f"/approvals/{approval_id}/approve")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize("body", [{"note": ""}, {"note": "x" * 501}, {"note": 7}, {"reason": "x"}])
async def test_a_wrong_body_is_refused(owner: Caller, body: dict[str, Any]) -> None:
    assert (await owner.post(f"/approvals/{uuid4()}/approve", body)).status_code == 422


async def test_a_wrong_status_is_refused(owner: Caller) -> None:
    assert (await owner.client.get("/approvals?status=open")).status_code == 400
