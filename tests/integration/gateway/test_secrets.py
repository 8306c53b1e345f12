import asyncio
import base64
import json
from uuid import uuid4

import httpx
import pytest

from services.gateway.secrets.wire import SecretPut
from shared.secrets.ring import Forged, KeyRing, Place, Sealed
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import SECRETS_KEY, Bench, Caller, payload_with

RING = KeyRing(base64.b64decode(SECRETS_KEY))


async def _put(caller: Caller, name: str, value: object = "value") -> httpx.Response:
    return await caller.put(f"/secrets/{name}", {"value": value})


async def _delete(caller: Caller, name: str) -> httpx.Response:
    return await caller.client.delete(f"/secrets/{name}")


async def _stored(gateway: Bench, agent_id: object, name: str) -> tuple[Place, Sealed]:
    row = await gateway.row("SELECT * FROM secret WHERE agent_id = $1 AND name = $2", agent_id, name)
    return Place(row["agent_id"], name, row["version"]), Sealed(row["key_id"], row["nonce"], row["ciphertext"])


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error_code"]


async def test_a_secret_is_made_then_replaced_and_never_shown(gateway: Bench, owner: Caller) -> None:
    made, replaced = await _put(owner, "api_key", "first"), await _put(owner, "api_key", "second")
    shown = await owner.get("/secrets/api_key")
    assert (made.status_code, replaced.status_code, shown.status_code) == (201, 200, 200)
    assert shown.json() == replaced.json()
    assert set(made.json()) == {"name", "version", "created_at", "updated_at"}
    assert (made.json()["version"], replaced.json()["version"]) == (1, 2)
    assert made.json()["created_at"] == replaced.json()["created_at"] < replaced.json()["updated_at"]
    assert RING.open(*await _stored(gateway, owner.agent_id, "api_key")) == "second"


async def test_names_are_listed_a_page_at_a_time(owner: Caller) -> None:
    for name in ("b", "a", "C"):
        await _put(owner, name)
    page = (await owner.get("/secrets", limit=2)).json()
    assert ([each["name"] for each in page["items"]], page["total"], page["has_more"]) == (["C", "a"], 3, True)
    assert all(set(each) == {"name", "version", "created_at", "updated_at"} for each in page["items"])


async def test_each_agent_has_names_of_its_own_and_sees_no_others(gateway: Bench, owner: Caller) -> None:
    other, admin = await gateway.caller(), await gateway.admin()
    await _put(owner, "mine", "of the owner")
    for stranger in (other, admin):
        assert (await stranger.get("/secrets")).json()["items"] == []
        for answer in (await stranger.get("/secrets/mine"), await _delete(stranger, "mine")):
            assert _refusal(answer) == (404, "not_found")
    assert (await _put(other, "mine", "of the other")).status_code == 201
    assert RING.open(*await _stored(gateway, owner.agent_id, "mine")) == "of the owner"


async def test_what_was_deleted_is_gone(gateway: Bench, owner: Caller) -> None:
    await _put(owner, "gone")
    answer = await _delete(owner, "gone")
    assert (answer.status_code, answer.content) == (204, b"")
    assert _refusal(await _delete(owner, "gone")) == _refusal(await owner.get("/secrets/gone")) == (404, "not_found")
    assert await gateway.pool.fetchval("SELECT count(*) FROM secret WHERE agent_id = $1", owner.agent_id) == 0


async def test_reading_and_changing_need_their_scopes(gateway: Bench) -> None:
    reader, writer = await gateway.caller(Scope.TASKS_READ), await gateway.caller(Scope.TASKS_WRITE)
    refused = [await _put(reader, "a"), await _delete(reader, "a"), await writer.get("/secrets")]
    assert {_refusal(answer) for answer in refused} == {(403, "insufficient_scope")}
    assert (await reader.get("/secrets")).status_code == 200
    assert (await _put(writer, "a")).status_code == 201


@pytest.mark.parametrize("name", ["__proto__", "9a", "a-b", "a.b", "x" * 65, "é", "%00", "%20", "a%0A"])
async def test_a_wrong_name_cannot_be_set_and_is_not_found(owner: Caller, name: str) -> None:
    answer = await _put(owner, name)
    assert _refusal(answer) == (422, "invalid_name")
    assert answer.json()["validation_errors"][0]["field"] == "name"
    assert _refusal(await owner.get(f"/secrets/{name}")) == (404, "not_found")
    assert _refusal(await _delete(owner, name)) == (404, "not_found")


async def test_a_name_with_a_slash_is_no_route(owner: Caller) -> None:
    assert _refusal(await _put(owner, "..%2fx")) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"value": ""}, 422, "required"),
        ({}, 422, "required"),
        ({"value": 7}, 422, "invalid_type"),
        ({"value": None}, 422, "invalid_type"),
        ({"value": "a\0b"}, 422, "invalid_character"),
        ({"value": "a", "name": "b"}, 422, "unknown_field"),
        ({"value": "x" * 65_537}, 413, "payload_too_large"),
        ({"value": "é" * 32_769}, 413, "payload_too_large"),
        ({"value": 2**70}, 422, "out_of_range"),
        ([], 422, "invalid_type"),
    ],
)
async def test_a_wrong_value_is_refused(owner: Caller, body: object, status: int, code: str) -> None:
    assert _refusal(await owner.put("/secrets/a", body)) == (status, code)
    assert (await owner.get("/secrets")).json()["total"] == 0


async def test_64_kib_can_be_kept(gateway: Bench, owner: Caller) -> None:
    assert (await _put(owner, "large", "é" * 32_768)).status_code == 201
    assert RING.open(*await _stored(gateway, owner.agent_id, "large")) == "é" * 32_768


@pytest.mark.parametrize(
    "reference",
    [
        "${secrets.api_key}",
        "Bearer ${ secrets . api_key }",
        '${secrets["api_key"]}',
        "${secrets['api_key']}",
        "${secrets.?api_key}",
        "${secrets[params.which]}",
        "${has(secrets.api_key)}",
    ],
)
async def test_a_secret_that_a_living_task_uses_stays(gateway: Bench, owner: Caller, reference: str) -> None:
    await _put(owner, "api_key")
    task = await owner.create_task()
    payload = payload_with(url="https://example.com/", headers={"X-Key": reference})
    await gateway.pool.execute("UPDATE task SET payload = $2 WHERE id = $1", task["id"], payload)
    await owner.post(f"/tasks/{task['id']}/pause")
    answer = await _delete(owner, "api_key")
    assert _refusal(answer) == (409, "in_use")
    assert answer.json()["detail"] == f"1 task uses this secret: {task['id']}."
    await owner.post(f"/tasks/{task['id']}/cancel")
    assert (await _delete(owner, "api_key")).status_code == 204


async def test_a_secret_of_a_similar_name_or_another_agent_can_be_deleted(gateway: Bench, owner: Caller) -> None:
    other = await gateway.caller()
    for caller, text in ((owner, "${secrets.api_key2 + secrets.my_api_key}"), (other, "${secrets.api_key}")):
        task = await caller.create_task()
        payload = payload_with(url="https://example.com/", headers={"X": text, "Y": "secrets", "Z": "api_key"})
        await gateway.pool.execute("UPDATE task SET payload = $2 WHERE id = $1", task["id"], payload)
    await _put(owner, "api_key")
    assert (await _delete(owner, "api_key")).status_code == 204


async def test_a_secret_that_only_a_follow_up_uses_stays(gateway: Bench, owner: Caller) -> None:
    await _put(owner, "hook")
    task = await owner.create_task()
    webhook = {"webhook": {"url": "https://example.com/", "secret": "${secrets.hook}"}}
    await gateway.pool.execute("UPDATE task SET on_failure = $2 WHERE id = $1", task["id"], webhook)
    assert _refusal(await _delete(owner, "hook")) == (409, "in_use")


async def test_every_accepted_change_leaves_one_entry_without_the_value(gateway: Bench, owner: Caller) -> None:
    canary = uuid4().hex
    await _put(owner, "api_key", canary)
    await _put(owner, "api_key", canary)
    await _put(owner, "__api_key__", canary)
    await _delete(owner, "api_key")
    await _delete(owner, "api_key")
    rows = await gateway.pool.fetch("SELECT * FROM audit_log WHERE actor_id = $1 ORDER BY seq", owner.agent_id)
    assert [(row["action"], row["subject_type"], row["details"]) for row in rows] == [
        ("secret.created", "secret", {"name": "api_key", "version": 1}),
        ("secret.replaced", "secret", {"name": "api_key", "version": 2}),
        ("secret.deleted", "secret", {"name": "api_key", "version": 2}),
    ]
    assert {row["subject_id"] for row in rows} == {f"{owner.agent_id}/api_key"}
    assert canary not in json.dumps([dict(row) for row in rows], default=str)


async def test_of_many_who_set_a_secret_at_once_each_gets_a_version(gateway: Bench, owner: Caller) -> None:
    answers = await asyncio.gather(*(_put(owner, "contested", f"value {number}") for number in range(12)))
    assert sorted(answer.json()["version"] for answer in answers) == [*range(1, 13)]
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    last = next(number for number, answer in enumerate(answers) if answer.json()["version"] == 12)
    assert RING.open(*await _stored(gateway, owner.agent_id, "contested")) == f"value {last}"


async def test_what_is_sealed_for_one_place_opens_in_no_other(gateway: Bench, owner: Caller) -> None:
    await _put(owner, "a", "value of a")
    await _put(owner, "b", "value of b")
    place, _ = await _stored(gateway, owner.agent_id, "a")
    _, sealed = await _stored(gateway, owner.agent_id, "b")
    with pytest.raises(Forged):
        RING.open(place, sealed)


async def test_without_a_key_nothing_can_be_set_and_what_is_there_can_be_seen_and_deleted(own_gateway: Bench) -> None:
    caller = await own_gateway.caller()
    sealed = RING.seal(Place(caller.agent_id, "old", 1), "value")
    await own_gateway.pool.execute(
        "INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) VALUES ($1, 'old', 1, $2, $3, $4)",
        caller.agent_id,
        sealed.key_id,
        sealed.nonce,
        sealed.ciphertext,
    )
    refused = await _put(caller, "new")
    assert _refusal(refused) == (409, "secrets_not_configured")
    assert "PAO_SECRETS_KEY" in refused.json()["detail"]
    assert [each["name"] for each in (await caller.get("/secrets")).json()["items"]] == ["old"]
    assert (await _delete(caller, "old")).status_code == 204


async def test_an_agent_has_a_thousand_secrets_at_most(gateway: Bench, owner: Caller) -> None:
    await gateway.pool.execute(
        "INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) "
        "SELECT $1, 'n' || number, 1, '', '', '' FROM generate_series(1, 1000) AS number",
        owner.agent_id,
    )
    assert _refusal(await _put(owner, "one_more")) == (403, "quota_exceeded")
    assert (await _put(owner, "n7")).status_code == 200


def test_the_text_of_a_request_does_not_show_the_value() -> None:
    assert "value" not in f"{SecretPut('the value')!r} {SecretPut('the value')}"


async def test_the_secrets_of_an_agent_have_four_mebibytes_together(gateway: Bench, owner: Caller) -> None:
    await gateway.pool.execute(
        "INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) "
        "SELECT $1, 'n' || number, 1, '', '', decode(repeat('00', 65552), 'hex') FROM generate_series(1, 63) AS number",
        owner.agent_id,
    )
    assert (await _put(owner, "fits", "x" * 65_536)).status_code == 201
    assert _refusal(await _put(owner, "one_more", "x")) == (403, "quota_exceeded")
    assert (await _put(owner, "fits", "x" * 65_535)).status_code == 200
    assert (await _put(owner, "one_more", "x")).status_code == 201
    assert _refusal(await _put(owner, "one_more", "xx")) == (403, "quota_exceeded")
