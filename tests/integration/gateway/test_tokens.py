from datetime import timedelta

import httpx
import pytest

from services.gateway.auth.token import new_token
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller
from tests.support.waiting import wait_until


def _body_without_id(answer: httpx.Response) -> dict[str, object]:
    return {name: value for name, value in answer.json().items() if name != "request_id"}


async def test_missing_malformed_unknown_expired_revoked_and_disabled_get_one_and_the_same_401(gateway: Bench) -> None:
    expired = await gateway.caller(valid_for=timedelta(seconds=-1))
    revoked = await gateway.caller()
    disabled = await gateway.caller(status="disabled")
    await gateway.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE key_id = $1", revoked.token.key_id)
    wrong_secret = revoked.token.text[:-10] + "0" * 10
    anonymous = await gateway.client()
    answers = [await anonymous.get("/tasks")]
    headers = ("Bearer", "Bearer nonsense", "Basic YTpi", f"Bearer {new_token().text}", f"Bearer {wrong_secret}")
    answers += [await anonymous.get("/tasks", headers={"Authorization": header}) for header in headers]
    answers += [await each.get("/tasks") for each in (expired, revoked, disabled)]
    bodies = [_body_without_id(answer) for answer in answers]
    assert {answer.status_code for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}
    assert bodies[0]["error_code"] == "unauthenticated"
    assert all(body == bodies[0] for body in bodies)


async def test_a_revoked_token_is_refused_within_a_second_or_so(gateway: Bench) -> None:
    caller = await gateway.caller()
    assert (await caller.get("/tasks")).status_code == 200
    await gateway.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE key_id = $1", caller.token.key_id)

    async def is_refused() -> bool:
        return (await caller.get("/tasks")).status_code == 401

    await wait_until(is_refused, patience_seconds=2)


async def test_the_use_of_a_token_is_recorded_once_and_not_per_request(gateway: Bench) -> None:
    caller = await gateway.caller()
    used = "SELECT last_used_at FROM agent_token WHERE key_id = $1"
    await caller.get("/tasks")
    first = await gateway.pool.fetchval(used, caller.token.key_id)
    await caller.get("/tasks")
    assert first is not None
    assert await gateway.pool.fetchval(used, caller.token.key_id) == first


@pytest.mark.parametrize("parameter", ["access_token", "token"])
async def test_a_token_in_the_url_is_refused(owner: Caller, parameter: str) -> None:
    answer = await owner.client.get("/tasks", params={parameter: "x"})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_request")


async def test_two_authorization_headers_are_refused(gateway: Bench, owner: Caller) -> None:
    header = ("Authorization", f"Bearer {owner.token.text}")
    answer = await (await gateway.client()).get("/tasks", headers=[header, header])
    assert (answer.status_code, answer.json()["error_code"]) == (400, "bad_request")


async def test_a_token_without_the_scope_is_told_which_one_is_needed(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.RUNS_READ)
    answer = await caller.get("/tasks")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")
    assert "tasks:read" in answer.json()["detail"]


async def test_an_unknown_path_without_a_token_tells_nothing_about_paths(gateway: Bench) -> None:
    anonymous = await gateway.client()
    assert (await anonymous.get("/nowhere")).status_code == 401
    assert (await anonymous.delete("/tasks")).status_code == 401


async def test_neither_the_token_nor_its_secret_is_in_the_database(gateway: Bench, admin: Caller) -> None:
    made = (await admin.post("/agents", {"name": "canary"})).json()
    rows = await gateway.pool.fetch(
        """SELECT t::text AS row FROM agent t UNION ALL SELECT t::text FROM agent_token t
           UNION ALL SELECT t::text FROM audit_log t UNION ALL SELECT t::text FROM idempotency_key t"""
    )
    secret = made["token"].split("_")[2]
    assert not [row for row in rows if secret in row["row"]]
