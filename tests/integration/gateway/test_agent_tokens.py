"""Tokens are made, listed, rotated and revoked, and shown once."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller

DAY_SECONDS = 86_400


def _days(token: dict[str, Any]) -> float:
    made, ends = (datetime.fromisoformat(token[name]) for name in ("created_at", "expires_at"))
    return round((ends - made).total_seconds() / DAY_SECONDS, 2)


async def _create(admin: Caller, agent: Caller, **wanted: object) -> dict[str, Any]:
    answer = await admin.post(f"/agents/{agent.agent_id}/tokens", wanted)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def _works(gateway: Bench, token: str) -> bool:
    client = await gateway.client(Authorization=f"Bearer {token}")
    return (await client.get("/agents/me")).status_code == 200


async def test_a_token_is_made_for_an_agent(gateway: Bench, admin: Caller, owner: Caller) -> None:
    made = await _create(admin, owner, label=" laptop ")
    assert (made["label"], made["status"], _days(made)) == ("laptop", "active", 90)
    client = await gateway.client(Authorization=f"Bearer {made['token']}")
    me = (await client.get("/agents/me")).json()
    assert (me["id"], me["current_token"]["key_id"]) == (str(owner.agent_id), made["key_id"])
    assert (me["current_token"]["label"], me["current_token"]["expires_at"]) == ("laptop", made["expires_at"])


async def test_a_token_lasts_as_long_as_is_asked_for(admin: Caller, owner: Caller) -> None:
    assert _days(await _create(admin, owner, expires_in_days=365)) == 365
    ends = (datetime.now(UTC) + timedelta(hours=12)).isoformat()
    assert _days(await _create(admin, owner, expires_at=ends)) == 0.5
    assert (await admin.post(f"/agents/{owner.agent_id}/tokens")).status_code == 201


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"expires_in_days": 0}, "out_of_range"),
        ({"expires_in_days": 366}, "out_of_range"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "out_of_range"),
        ({"expires_at": "9999-12-31T23:59:59-12:00"}, "invalid_datetime"),
        ({"expires_at": "2030-01-01T00:00:00"}, "invalid_datetime"),
        ({"expires_at": "2030-01-01T00:00:00Z", "expires_in_days": 1}, "conflicting_fields"),
        ({"label": "x" * 101}, "too_long"),
        ({"label": "a\u202eb"}, "invalid_character"),
        ({"token": "pao_x"}, "unknown_field"),
        ({"scopes": ["admin"]}, "unknown_field"),
    ],
)
async def test_a_wrong_wish_is_refused(admin: Caller, owner: Caller, wanted: dict[str, Any], code: str) -> None:
    answer = await admin.post(f"/agents/{owner.agent_id}/tokens", wanted)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)


async def test_a_token_is_shown_once(gateway: Bench, admin: Caller, owner: Caller) -> None:
    key = {"Idempotency-Key": str(uuid4())}
    path = f"/agents/{owner.agent_id}/tokens"
    first = (await admin.post(path, {"label": "once"}, key)).json()
    again = await admin.post(path, {"label": "once"}, key)
    assert again.json() == first | {"token": None}
    listed = (await admin.get(path)).json()
    assert [item["key_id"] for item in listed["items"]] == [first["key_id"], owner.token.key_id]
    assert not {"token", "secret", "secret_hash"} & set(listed["items"][0])
    secret = first["token"].split("_")[2]
    assert secret not in (await admin.get(path)).text
    rotated = (
        await admin.post(f"{path}/{first['key_id']}/rotate", {}, key := {"Idempotency-Key": str(uuid4())})
    ).json()
    assert (await admin.post(f"{path}/{first['key_id']}/rotate", {}, key)).json() == rotated | {"token": None}
    rows = await gateway.pool.fetch(
        "SELECT t::text AS row FROM audit_log t UNION ALL SELECT t::text FROM idempotency_key t"
    )
    for shown in (first, rotated):
        assert not [row for row in rows if shown["token"].split("_")[2] in row["row"]]


async def test_tokens_are_listed_page_by_page(admin: Caller, owner: Caller) -> None:
    for label in "ab":
        await _create(admin, owner, label=label)
    path = f"/agents/{owner.agent_id}/tokens"
    first = (await admin.get(path, limit=2, sort="created_at")).json()
    rest = (await admin.get(path, limit=2, sort="created_at", cursor=first["next_cursor"])).json()
    assert [item["label"] for item in first["items"] + rest["items"]] == ["", "a", "b"]
    assert (first["total"], first["has_more"], rest["has_more"]) == (3, True, False)


async def test_a_rotated_token_works_beside_the_new_one_for_a_while(
    gateway: Bench, admin: Caller, owner: Caller
) -> None:
    old = await _create(admin, owner, label="ci", expires_in_days=30)
    path = f"/agents/{owner.agent_id}/tokens/{old['key_id']}/rotate"
    answer = await admin.post(path, {"overlap_seconds": 60, "expires_in_days": 10})
    new = answer.json()
    assert (answer.status_code, new["label"], _days(new)) == (201, "ci", 10)
    assert new["replaces"]["key_id"] == old["key_id"]
    left = datetime.fromisoformat(new["replaces"]["expires_at"]) - datetime.fromisoformat(new["created_at"])
    assert left == timedelta(seconds=60)
    assert await _works(gateway, old["token"])
    assert await _works(gateway, new["token"])
    entry = await gateway.row(
        "SELECT details FROM audit_log WHERE subject_id = $1 AND action = 'token.rotated'", old["key_id"]
    )
    assert entry["details"]["replaced_by"] == new["key_id"]
    assert datetime.fromisoformat(entry["details"]["changed"]["expires_at"]["before"]) == datetime.fromisoformat(
        old["expires_at"]
    )


async def test_without_overlap_the_old_token_ends_at_once(gateway: Bench, admin: Caller, owner: Caller) -> None:
    old = await _create(admin, owner)
    assert await _works(gateway, old["token"])
    await admin.post(f"/agents/{owner.agent_id}/tokens/{old['key_id']}/rotate", {"overlap_seconds": 0})
    assert not await _works(gateway, old["token"])


async def test_an_overlap_never_prolongs_a_token(admin: Caller, owner: Caller) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=5)
    old = await _create(admin, owner, expires_at=ends.isoformat())
    new = (
        await admin.post(f"/agents/{owner.agent_id}/tokens/{old['key_id']}/rotate", {"overlap_seconds": 86_400})
    ).json()
    assert new["replaces"]["expires_at"] == old["expires_at"]


@pytest.mark.parametrize("overlap", [-1, 86_401])
async def test_an_overlap_has_bounds(owner: Caller, overlap: int) -> None:
    path = f"/agents/{owner.agent_id}/tokens/{owner.token.key_id}/rotate"
    answer = await owner.post(path, {"overlap_seconds": overlap})
    assert (answer.status_code, answer.json()["error_code"]) == (422, "out_of_range")


@pytest.mark.parametrize("ended", ["revoked_at = now()", "expires_at = now() - interval '1 s'"])
async def test_a_token_that_has_ended_is_not_rotated(gateway: Bench, admin: Caller, owner: Caller, ended: str) -> None:
    old = await _create(admin, owner)
    await gateway.pool.execute(f"UPDATE agent_token SET {ended} WHERE key_id = $1", old["key_id"])
    answer = await admin.post(f"/agents/{owner.agent_id}/tokens/{old['key_id']}/rotate")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "token_not_active")


async def test_revoking_twice_is_as_once_and_what_never_was_is_not_found(
    gateway: Bench, admin: Caller, owner: Caller
) -> None:
    made = await _create(admin, owner)
    path = f"/agents/{owner.agent_id}/tokens"
    for _ in range(2):
        assert (await admin.client.delete(f"{path}/{made['key_id']}")).status_code == 204
    (listed, *_) = (await admin.get(path)).json()["items"]
    assert (listed["status"], listed["revoked_at"] is not None) == ("revoked", True)
    entries = await gateway.pool.fetch(
        "SELECT details FROM audit_log WHERE subject_id = $1 AND action = 'token.revoked'", made["key_id"]
    )
    assert [entry["details"]["changed"] for entry in entries] == [{"status": {"before": "active", "after": "revoked"}}]
    for unknown in ("0" * 12, "x", "%00", "..%2Fx", admin.token.key_id):
        assert (await admin.client.delete(f"{path}/{unknown}")).status_code == 404, unknown


async def test_an_agent_rotates_and_revokes_its_own_and_makes_no_more(gateway: Bench, owner: Caller) -> None:
    path = f"/agents/{owner.agent_id}/tokens"
    assert (await owner.get(path)).json()["total"] == 1
    refused = await owner.post(path, {})
    assert (refused.status_code, refused.json()["error_code"]) == (403, "insufficient_scope")
    new = (await owner.post(f"{path}/{owner.token.key_id}/rotate")).json()
    client = await gateway.client(Authorization=f"Bearer {new['token']}")
    assert (await client.delete(f"{path}/{owner.token.key_id}")).status_code == 204
    assert (await owner.get(path)).status_code == 401
    assert (await client.get(path)).json()["total"] == 2


async def test_the_tokens_of_others_are_not_there(gateway: Bench, owner: Caller) -> None:
    other = await gateway.caller(Scope.AGENTS_READ, Scope.TASKS_WRITE)
    path = f"/agents/{owner.agent_id}/tokens"
    for answer in (
        await other.get(path),
        await other.post(f"{path}/{owner.token.key_id}/rotate"),
        await other.client.delete(f"{path}/{owner.token.key_id}"),
    ):
        assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
    assert (await owner.get(path)).status_code == 200


async def test_an_agent_has_so_many_tokens_that_work(gateway: Bench, admin: Caller, owner: Caller) -> None:
    await gateway.pool.execute(
        "INSERT INTO agent_token (key_id, agent_id, secret_hash, expires_at) "
        "SELECT $2 || n, $1, '', now() + interval '1 day' FROM generate_series(1, 99) AS n",
        owner.agent_id,
        owner.agent_id.hex,
    )
    answer = await admin.post(f"/agents/{owner.agent_id}/tokens")
    assert (answer.status_code, answer.json()["error_code"]) == (403, "quota_exceeded")
    await gateway.pool.execute(
        "UPDATE agent_token SET revoked_at = now() WHERE agent_id = $1 AND secret_hash = ''", owner.agent_id
    )
    assert (await admin.post(f"/agents/{owner.agent_id}/tokens")).status_code == 201
