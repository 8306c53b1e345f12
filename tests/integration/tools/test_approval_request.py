from typing import Any

import asyncpg
import msgspec
import pytest

from services.executor.tools.approval_request import ApprovalRequest
from services.executor.tools.base import StepContext, ToolFault, Waiting
from shared.vocabulary.limits import APPROVAL_DETAILS_BYTES
from shared.vocabulary.states import ErrorClass, WaitKind
from tests.support.rows import make_agent
from tests.support.steps import park, resume, running_step

PROMPT = {"prompt": "Send it?"}
DECIDE = "UPDATE approval SET status = $1, decided_by = 'ana', decided_at = now(), note = 'because'"


@pytest.fixture
def tool(pool: asyncpg.Pool) -> ApprovalRequest:
    return ApprovalRequest(pool)


@pytest.fixture
async def step(pool: asyncpg.Pool) -> StepContext:
    return await running_step(pool, await make_agent(pool))


async def _fault(tool: ApprovalRequest, arguments: dict[str, Any], step: StepContext) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await tool.call(arguments, step)
    return caught.value


async def _past_its_deadline(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext, arguments: dict[str, Any]
) -> StepContext:
    await park(pool, step, await tool.call(arguments, step))
    await pool.execute("UPDATE approval SET deadline_at = now()")
    return await resume(pool, step)


async def test_it_asks_and_lets_the_run_wait(pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext) -> None:
    waiting = await tool.call({**PROMPT, "details": {"to": "a"}, "timeout_seconds": 60}, step)
    (asked,) = await pool.fetch("SELECT * FROM approval")
    assert isinstance(waiting, Waiting)
    assert (waiting.kind, round(waiting.seconds), waiting.output) == (
        *(WaitKind.APPROVAL, 60),
        {"approval_id": str(asked["id"])},
    )
    assert (asked["agent_id"], asked["task_id"], asked["run_id"], asked["step_id"], asked["status"]) == (
        *(step.agent_id, step.task_id, step.run_id),
        *("ask", "pending"),
    )


async def test_it_asks_once_however_often_it_is_tried(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext
) -> None:
    await tool.call({**PROMPT, "timeout_seconds": 60}, step)
    await pool.execute("UPDATE approval SET deadline_at = now() + interval '10 s'")
    again = await tool.call({**PROMPT, "timeout_seconds": 60}, await resume(pool, step))
    assert isinstance(again, Waiting)
    assert 5 < again.seconds <= 10
    assert await pool.fetchval("SELECT count(*) FROM approval") == 1


async def test_an_executor_that_lost_its_lease_asks_nothing(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext
) -> None:
    await resume(pool, step)
    assert (await _fault(tool, PROMPT, step)).error_class is ErrorClass.LEASE_LOST
    assert await pool.fetchval("SELECT count(*) FROM approval") == 0


async def test_when_nobody_decided_in_time_the_step_times_out(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext
) -> None:
    fault = await _fault(tool, PROMPT, await _past_its_deadline(pool, tool, step, PROMPT))
    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, False)
    assert await pool.fetchval("SELECT status FROM approval") == "expired"


async def test_silence_can_count_as_approval(pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext) -> None:
    arguments = {**PROMPT, "on_timeout": "approve"}
    output = await tool.call(arguments, await _past_its_deadline(pool, tool, step, arguments))
    assert isinstance(output, dict)
    assert (output["decision"], output["decided_by"], output["note"]) == ("approved", None, None)
    assert isinstance(output["decided_at"], str)


async def test_silence_can_count_as_a_rejection(pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext) -> None:
    arguments = {**PROMPT, "on_timeout": "reject"}
    fault = await _fault(tool, arguments, await _past_its_deadline(pool, tool, step, arguments))
    assert (fault.error_class, fault.message) == (
        ErrorClass.TOOL,
        "The request was rejected because nobody decided in time.",
    )


async def test_a_rejection_that_fails_nothing_is_an_output(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext
) -> None:
    arguments = {**PROMPT, "on_timeout": "reject", "on_reject": "continue"}
    output = await tool.call(arguments, await _past_its_deadline(pool, tool, step, arguments))
    assert isinstance(output, dict)
    assert output["decision"] == "rejected"


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_decision_stands_whenever_the_tool_is_asked_again(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext, is_late: bool
) -> None:
    await tool.call(PROMPT, step)
    await pool.execute(DECIDE, "approved")
    if is_late:
        await pool.execute("UPDATE approval SET deadline_at = now()")
    output = await tool.call(PROMPT, await resume(pool, step))
    assert isinstance(output, dict)
    assert (output["decision"], output["decided_by"], output["note"]) == ("approved", "ana", "because")
    await pool.execute(DECIDE, "rejected")
    fault = await _fault(tool, PROMPT, await resume(pool, step))
    assert fault.message == "The request was rejected by ana: because"


async def test_steps_of_one_run_are_requests_of_their_own(
    pool: asyncpg.Pool, tool: ApprovalRequest, step: StepContext
) -> None:
    await tool.call(PROMPT, step)
    await tool.call(PROMPT, msgspec.structs.replace(step, step_id="other"))
    assert await pool.fetchval("SELECT count(*) FROM approval") == 2


WRONG: list[tuple[dict[str, object], str]] = [
    ({}, "with.prompt"),
    ({"prompt": ""}, "with.prompt"),
    ({"prompt": "x" * 2001}, "with.prompt"),
    ({**PROMPT, "details": []}, "with.details"),
    ({**PROMPT, "details": {"x": "y" * APPROVAL_DETAILS_BYTES}}, "with.details"),
    ({**PROMPT, "on_timeout": "ask"}, "with.on_timeout"),
    ({**PROMPT, "timeout_seconds": 0}, "with.timeout_seconds"),
]


@pytest.mark.parametrize(("arguments", "field"), WRONG, ids=[str(number) for number in range(len(WRONG))])
async def test_wrong_arguments_are_told_by_their_field(
    tool: ApprovalRequest, step: StepContext, arguments: dict[str, object], field: str
) -> None:
    fault = await _fault(tool, arguments, step)
    assert (fault.error_class, fault.message.partition(":")[0]) == (ErrorClass.TOOL, field)
