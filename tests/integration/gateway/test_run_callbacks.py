"""What the target of a step may say of it, and who else may."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from redis.asyncio import Redis

from shared.streams.doorbell import Bell
from shared.vocabulary.run_token import make_run_token
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import TOKEN_KEY, Bench, Caller
from tests.support.runs import finish_run, lease_run, park_run, release_run, step_of, work_of
from tests.support.waiting import wait_until

VERBS = [("complete", {}), ("fail", {"message": "no"}), ("heartbeat", {}), ("log", {"message": "hello"})]


async def make_run(caller: Caller) -> UUID:
    task = await caller.create_task()
    return UUID((await caller.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"])


class Target:
    """Speaks for one step."""

    def __init__(self, client: httpx.AsyncClient, run_id: UUID) -> None:
        self.client = client
        self.run_id = run_id

    async def say(self, verb: str, **body: object) -> httpx.Response:
        return await self.client.post(f"/runs/{self.run_id}/{verb}", json=body)


async def target_of(gateway: Bench, run_id: UUID, step_id: str = "call") -> Target:
    token = make_run_token(TOKEN_KEY.encode(), run_id, step_id)
    return Target(await gateway.client(Authorization=f"Bearer {token}"), run_id)


@pytest.fixture
async def run_id(owner: Caller) -> UUID:
    return await make_run(owner)


@pytest.fixture
async def target(gateway: Bench, run_id: UUID) -> Target:
    return await target_of(gateway, run_id)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


@pytest.mark.parametrize("output", [{"a": [1]}, [1, 2], "text", 0, False])
async def test_a_completed_step_has_its_output_and_its_run_goes_on_at_once(
    gateway: Bench, target: Target, run_id: UUID, output: object
) -> None:
    await park_run(gateway.pool, run_id)
    answer = await target.say("complete", output=output)
    assert answer.json()["details"] == {"run_id": str(run_id), "step_id": "call", "status": "succeeded"}
    step, work = await step_of(gateway.pool, run_id), await work_of(gateway.pool, run_id)
    assert (step["status"], step["output"], step["error"]) == ("succeeded", output, None)
    assert step["finished_at"] is not None
    assert work is not None
    assert work["is_answered"]
    assert work["waits_seconds"] <= 0


async def test_the_executors_bell_rings_for_an_answer(
    gateway: Bench, target: Target, run_id: UUID, redis: Redis
) -> None:
    await park_run(gateway.pool, run_id)
    await redis.delete(Bell.DUE_WORK)
    await target.say("complete")
    await wait_until(lambda: redis.xlen(Bell.DUE_WORK))


async def test_a_step_fails_in_the_words_of_its_target(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id)
    answer = await target.say("fail", message="out of paper", retryable=True, output={"page": 3})
    step = await step_of(gateway.pool, run_id)
    assert answer.status_code == 200
    assert (step["status"], step["output"]) == ("failed", {"page": 3})
    assert step["error"] == {"class": "tool", "message": "out of paper", "retryable": True}


async def test_an_answer_may_come_before_anything_is_written_of_the_wait(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await lease_run(gateway.pool, run_id)
    assert (await target.say("complete", output=1)).status_code == 200
    step, work = await step_of(gateway.pool, run_id), await work_of(gateway.pool, run_id)
    assert (step["status"], step["output"], step["attempt"]) == ("succeeded", 1, 1)
    assert work is not None
    assert work["is_answered"]
    assert work["locked_by"] == "e"


async def test_an_answer_may_come_while_the_journal_says_that_the_step_runs(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await park_run(gateway.pool, run_id)
    await gateway.pool.execute(
        "UPDATE run_step SET status = 'running', wait_kind = NULL, deadline_at = NULL WHERE run_id = $1", run_id
    )
    await lease_run(gateway.pool, run_id)
    await target.say("complete", output=1)
    assert (await step_of(gateway.pool, run_id))["status"] == "succeeded"


async def test_a_retry_is_not_made_earlier_by_an_answer(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id)
    await release_run(gateway.pool, run_id, "retrying")
    await target.say("complete")
    work = await work_of(gateway.pool, run_id)
    assert work is not None
    assert work["waits_seconds"] > 3500


async def test_the_same_answer_twice_changes_nothing(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id)
    await target.say("complete", output={"a": 1.5})
    before = await step_of(gateway.pool, run_id)
    assert (await target.say("complete", output={"a": 1.5})).status_code == 200
    assert await step_of(gateway.pool, run_id) == before
    await finish_run(gateway.pool, run_id)
    assert (await target.say("complete", output={"a": 1.5})).status_code == 200


async def test_another_answer_is_refused(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id)
    await target.say("complete", output=1)
    assert refusal(await target.say("complete", output=2)) == (409, "step_settled")
    assert refusal(await target.say("fail", message="no")) == (409, "step_settled")
    assert refusal(await target.say("heartbeat")) == (409, "step_settled")
    await finish_run(gateway.pool, run_id)
    assert refusal(await target.say("complete", output=2)) == (409, "run_finished")
    assert (await step_of(gateway.pool, run_id))["output"] == 1


async def test_of_many_answers_at_once_one_counts(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id)
    answers = await asyncio.gather(*(target.say("complete", output=number) for number in range(8)))
    (told,) = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert {refusal(answer) for answer in answers if answer.status_code != 200} == {(409, "step_settled")}
    assert (await step_of(gateway.pool, run_id))["output"] == told


@pytest.mark.parametrize(("verb", "body"), VERBS)
async def test_of_a_finished_run_nothing_can_be_told(
    gateway: Bench, target: Target, run_id: UUID, verb: str, body: dict[str, Any]
) -> None:
    await finish_run(gateway.pool, run_id, "canceled")
    assert refusal(await target.say(verb, **body)) == (409, "run_finished")


@pytest.mark.parametrize(("verb", "body"), VERBS[:3])
async def test_an_answer_after_the_deadline_is_too_late(
    gateway: Bench, target: Target, run_id: UUID, verb: str, body: dict[str, Any]
) -> None:
    await park_run(gateway.pool, run_id, seconds=-1)
    assert refusal(await target.say(verb, **body)) == (409, "wait_expired")
    assert (await step_of(gateway.pool, run_id))["status"] == "waiting"


async def test_a_wait_that_a_heartbeat_lengthened_ends_all_the_same(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await park_run(gateway.pool, run_id, seconds=60)
    assert (await target.say("heartbeat")).status_code == 200
    await gateway.pool.execute("UPDATE run_step SET deadline_at = now() - interval '1 s' WHERE run_id = $1", run_id)
    assert refusal(await target.say("complete")) == (409, "wait_expired")
    timed_out = {"class": "timeout", "message": "too late", "retryable": True}
    await gateway.pool.execute(
        "UPDATE run_step SET status = 'failed', finished_at = now(), error = $2 WHERE run_id = $1", run_id, timed_out
    )
    assert refusal(await target.say("complete")) == (409, "wait_expired")


async def test_a_heartbeat_gives_the_first_length_again_however_often(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await park_run(gateway.pool, run_id, seconds=600)
    for _ in range(3):
        await gateway.pool.execute(
            "UPDATE run_step SET started_at = started_at - interval '300 s', "
            "deadline_at = deadline_at - interval '300 s' WHERE run_id = $1",
            run_id,
        )
        assert (await target.say("heartbeat")).json()["deadline_at"] is not None
        assert await seconds_left(gateway, run_id) == pytest.approx(600, abs=5)
        work = await work_of(gateway.pool, run_id)
        assert work is not None
        assert work["waits_seconds"] == pytest.approx(600, abs=5)


async def seconds_left(gateway: Bench, run_id: UUID, step_id: str = "call") -> float:
    row = await gateway.row(
        "SELECT extract(epoch FROM deadline_at - now())::float8 AS seconds FROM run_step "
        "WHERE run_id = $1 AND step_id = $2",
        run_id,
        step_id,
    )
    seconds: float = row["seconds"]
    return seconds


async def test_a_heartbeat_never_brings_the_deadline_nearer(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id, seconds=600)
    await target.say("heartbeat", extend_seconds=5)
    assert await seconds_left(gateway, run_id) == pytest.approx(600, abs=5)
    await target.say("heartbeat", extend_seconds=1200)
    assert await seconds_left(gateway, run_id) == pytest.approx(1200, abs=5)


async def test_no_heartbeat_reaches_further_than_thirty_days(target: Target) -> None:
    assert refusal(await target.say("heartbeat", extend_seconds=30 * 86_400 + 1)) == (422, "out_of_range")


async def test_the_run_wakes_at_the_first_of_its_deadlines(gateway: Bench, target: Target, run_id: UUID) -> None:
    await park_run(gateway.pool, run_id, seconds=600)
    await park_run(gateway.pool, run_id, step_id="nap", kind="sleep", seconds=700)
    await target.say("heartbeat", extend_seconds=1200)
    work = await work_of(gateway.pool, run_id)
    assert work is not None
    assert work["waits_seconds"] == pytest.approx(700, abs=5)


async def test_progress_is_shown_until_the_step_has_its_output(
    gateway: Bench, owner: Caller, target: Target, run_id: UUID
) -> None:
    await park_run(gateway.pool, run_id)
    await target.say("heartbeat", progress={"done": 3})
    await target.say("heartbeat")
    (step,) = (await owner.get(f"/runs/{run_id}")).json()["steps"]
    assert step["output"]["heartbeat"]["progress"] == {"done": 3}
    await target.say("complete", output="paid")
    (step,) = (await owner.get(f"/runs/{run_id}")).json()["steps"]
    assert (step["output"], step["status"]) == ("paid", "succeeded")


async def test_a_heartbeat_may_come_before_the_wait_has_begun(gateway: Bench, target: Target, run_id: UUID) -> None:
    await lease_run(gateway.pool, run_id)
    answer = await target.say("heartbeat")
    assert (answer.status_code, answer.json()) == (200, {"deadline_at": None})


@pytest.mark.parametrize("kind", ["sleep", "approval", "inbox"])
async def test_only_a_wait_for_the_target_is_ended_by_the_target(
    gateway: Bench, target: Target, run_id: UUID, kind: str
) -> None:
    await park_run(gateway.pool, run_id, kind=kind)
    assert refusal(await target.say("complete")) == (409, "step_not_waiting")
    assert (await step_of(gateway.pool, run_id))["status"] == "waiting"


@pytest.mark.parametrize(("verb", "body"), VERBS)
async def test_a_token_of_another_run_is_no_token_here(
    gateway: Bench, owner: Caller, run_id: UUID, verb: str, body: dict[str, Any]
) -> None:
    await park_run(gateway.pool, run_id)
    other = await target_of(gateway, await make_run(owner))
    nobody = await (await gateway.client()).post(f"/runs/{run_id}/{verb}", json=body)
    foreign = await other.client.post(f"/runs/{run_id}/{verb}", json=body)
    assert refusal(foreign) == refusal(nobody) == (401, "unauthenticated")
    assert foreign.json()["detail"] == nobody.json()["detail"]
    assert (await step_of(gateway.pool, run_id))["status"] == "waiting"


async def test_a_token_of_another_step_settles_that_step_only(gateway: Bench, run_id: UUID) -> None:
    for number in range(2):
        await park_run(gateway.pool, run_id, step_id=f"notify[{number}]")
    target = await target_of(gateway, run_id, "notify[1]")
    assert refusal(await target.say("complete", step_id="notify[0]")) == (422, "other_step")
    await target.say("complete")
    assert (await step_of(gateway.pool, run_id, "notify[0]"))["status"] == "waiting"
    assert (await step_of(gateway.pool, run_id, "notify[1]"))["status"] == "succeeded"


async def test_a_run_token_opens_nothing_else(gateway: Bench, target: Target, run_id: UUID) -> None:
    for method, path in [
        ("GET", f"/runs/{run_id}"),
        ("GET", f"/runs/{run_id}/logs"),
        ("GET", "/agents/me"),
        ("GET", "/tasks"),
        ("POST", f"/runs/{run_id}/cancel"),
        ("POST", f"/runs/{run_id}/replay"),
    ]:
        assert refusal(await target.client.request(method, path)) == (401, "unauthenticated")
    assert (await work_of(gateway.pool, run_id)) is not None


async def test_a_token_made_under_another_key_is_no_token(gateway: Bench, run_id: UUID) -> None:
    forged = make_run_token(b"another key of enough characters", run_id, "call")
    client = await gateway.client(Authorization=f"Bearer {forged}")
    assert (await client.post(f"/runs/{run_id}/complete", json={})).status_code == 401


async def test_a_run_that_never_was_is_not_found(gateway: Bench) -> None:
    target = await target_of(gateway, uuid4())
    assert refusal(await target.say("complete")) == (404, "not_found")


async def test_the_agent_of_the_run_may_speak_for_the_step_that_waits(
    gateway: Bench, owner: Caller, run_id: UUID
) -> None:
    await park_run(gateway.pool, run_id)
    for _ in range(2):
        answer = await owner.post(f"/runs/{run_id}/complete", {"output": 7})
        assert (answer.status_code, answer.json()["details"]["step_id"]) == (200, "call")
    assert (await step_of(gateway.pool, run_id))["output"] == 7


async def test_an_agent_says_which_step_it_means_when_several_wait(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    for number in range(2):
        await park_run(gateway.pool, run_id, step_id=f"notify[{number}]")
    answer = await owner.post(f"/runs/{run_id}/complete", {})
    assert refusal(answer) == (422, "required")
    assert "notify[0], notify[1]" in answer.json()["detail"]
    assert (await owner.post(f"/runs/{run_id}/complete", {"step_id": "notify[1]"})).status_code == 200


async def test_an_agent_makes_up_no_steps(gateway: Bench, owner: Caller, run_id: UUID) -> None:
    await lease_run(gateway.pool, run_id)
    for body in ({"step_id": "invented"}, {}):
        assert refusal(await owner.post(f"/runs/{run_id}/complete", body)) == (409, "step_not_waiting")
    assert refusal(await owner.post(f"/runs/{run_id}/heartbeat", {"step_id": "x"})) == (409, "step_not_waiting")
    assert await gateway.pool.fetchval("SELECT count(*) FROM run_step WHERE run_id = $1", run_id) == 0


@pytest.mark.parametrize(("verb", "body"), VERBS)
async def test_a_run_of_another_agent_does_not_exist(
    gateway: Bench, run_id: UUID, verb: str, body: dict[str, Any]
) -> None:
    await park_run(gateway.pool, run_id)
    other, reader = await gateway.caller(), await gateway.caller(Scope.RUNS_READ)
    assert refusal(await other.post(f"/runs/{run_id}/{verb}", body)) == (404, "not_found")
    assert refusal(await reader.post(f"/runs/{run_id}/{verb}", body)) == (403, "insufficient_scope")


async def test_the_log_keeps_the_order_of_its_lines(
    gateway: Bench, owner: Caller, target: Target, run_id: UUID
) -> None:
    await lease_run(gateway.pool, run_id)
    await target.say("log", message="begin", level="debug")
    lines = [{"message": f"line {number}"} for number in range(60)]
    assert (await target.say("log", lines=lines)).json() == {"logged": 60, "dropped": 0}
    page = (await owner.get(f"/runs/{run_id}/logs", limit=2, offset=0)).json()
    assert [(line["level"], line["message"]) for line in page["items"]] == [("debug", "begin"), ("info", "line 0")]
    assert (page["total"], page["has_more"]) == (61, True)
    other = await gateway.caller()
    assert refusal(await other.get(f"/runs/{run_id}/logs")) == (404, "not_found")


async def test_a_log_has_at_most_a_thousand_lines(gateway: Bench, target: Target, run_id: UUID) -> None:
    await lease_run(gateway.pool, run_id)
    lines = [{"message": "x"}] * 700
    answers = await asyncio.gather(*(target.say("log", lines=lines) for _ in range(2)))
    kept = sorted((answer.json()["logged"], answer.json()["dropped"]) for answer in answers)
    assert kept == [(300, 400), (700, 0)]
    assert (await target.say("log", message="more")).json() == {"logged": 0, "dropped": 1}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"message": "a", "lines": [{"message": "b"}]}, "required"),
        ({"level": "info", "lines": [{"message": "b"}]}, "required"),
        ({"message": "é" * 2049}, "too_long"),
        ({"lines": [{"message": "x" * 4097}]}, "too_long"),
        ({"message": "a\0b"}, "invalid_character"),
        ({"message": "a", "level": "loud"}, "invalid_choice"),
        ({"lines": []}, "required"),
    ],
)
async def test_a_line_that_cannot_be_kept_is_refused(target: Target, body: dict[str, Any], code: str) -> None:
    assert refusal(await target.say("log", **body)) == (422, code)


async def test_a_log_line_that_is_sent_twice_under_one_key_is_written_once(
    gateway: Bench, target: Target, run_id: UUID
) -> None:
    await lease_run(gateway.pool, run_id)
    for _ in range(2):
        answer = await target.client.post(
            f"/runs/{run_id}/log", json={"message": "once"}, headers={"Idempotency-Key": "1"}
        )
        assert answer.status_code == 200
    assert await gateway.pool.fetchval("SELECT count(*) FROM run_log WHERE run_id = $1", run_id) == 1


async def test_one_key_of_two_steps_means_two_requests(gateway: Bench, run_id: UUID) -> None:
    for number in range(2):
        await park_run(gateway.pool, run_id, step_id=f"notify[{number}]")
        target = await target_of(gateway, run_id, f"notify[{number}]")
        await target.client.post(f"/runs/{run_id}/complete", json={}, headers={"Idempotency-Key": "1"})
        assert (await step_of(gateway.pool, run_id, f"notify[{number}]"))["status"] == "succeeded"
