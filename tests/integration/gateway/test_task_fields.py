"""The fields that say how carefully a task runs, and what follows its outcome."""

from typing import Any
from uuid import UUID

import pytest

from tests.integration.gateway.bench import Bench, Caller, task_body

WEBHOOK = {"webhook": {"url": "https://example.com/done", "headers": {"X-A": "b"}, "json": {"run": "${run.id}"}}}
PUBLISH = {"publish": {"topic": "run.failed", "payload": {"error": "${run.error}", "title": "${task.title}"}}}
GIVEN: dict[str, Any] = {
    "concurrency_key": "shared",
    "concurrency_limit": 7,
    "rate_limit": {"limit": 10, "period_seconds": 60, "key": "api"},
    "expires_after_seconds": 3600,
    "on_success": WEBHOOK,
    "on_failure": PUBLISH,
    "pause_after_failures": 5,
}
DEFAULTS = {"concurrency_limit": 1, **dict.fromkeys(GIVEN.keys() - {"concurrency_key", "concurrency_limit"})}


async def test_what_is_left_out_has_its_default(owner: Caller) -> None:
    task = await owner.create_task()
    assert {name: task[name] for name in DEFAULTS} == DEFAULTS
    assert await owner.show_task(task["id"]) == task


async def test_every_field_comes_back_as_it_was_given(owner: Caller) -> None:
    task = await owner.create_task(**GIVEN)
    assert {name: task[name] for name in GIVEN} == GIVEN
    assert await owner.show_task(task["id"]) == task
    assert (await owner.get("/tasks")).json()["items"][0] == task


async def test_what_is_absent_is_null_in_the_database_too(gateway: Bench, owner: Caller) -> None:
    made, changed = await owner.create_task(), await owner.create_task(**GIVEN)
    await owner.put(f"/tasks/{changed['id']}", {"rate_limit": None, "on_success": None, "on_failure": None})
    for task in (made, changed):
        row = await gateway.row("SELECT rate_limit, on_success, on_failure FROM task WHERE id = $1", UUID(task["id"]))
        assert tuple(row) == (None, None, None)


async def test_each_field_can_be_changed_and_removed(owner: Caller) -> None:
    task = await owner.create_task()
    changed = (await owner.put(f"/tasks/{task['id']}", GIVEN)).json()
    assert {name: changed[name] for name in GIVEN} == GIVEN
    removed = (await owner.put(f"/tasks/{task['id']}", {**DEFAULTS, "concurrency_key": None})).json()
    assert {name: removed[name] for name in DEFAULTS} == DEFAULTS
    assert (changed["version"], removed["version"]) == (2, 3)


async def test_the_same_values_again_are_no_change(owner: Caller) -> None:
    task = await owner.create_task(**GIVEN)
    assert (await owner.put(f"/tasks/{task['id']}", GIVEN)).json()["version"] == 1


async def test_the_trail_tells_a_new_limit_but_no_webhook(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.put(f"/tasks/{task['id']}", {"expires_after_seconds": 60, "on_failure": WEBHOOK})
    details = await gateway.pool.fetchval(
        "SELECT details FROM audit_log WHERE subject_id = $1 AND action = 'task.updated'", task["id"]
    )
    changed = {"expires_after_seconds": {"before": None, "after": 60}, "on_failure": "changed"}
    assert details == {"changed": changed}


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"concurrency_key": "k", "concurrency_limit": 0}, "out_of_range", "concurrency_limit"),
    ({"concurrency_key": "k", "concurrency_limit": 1001}, "out_of_range", "concurrency_limit"),
    ({"concurrency_limit": None}, "invalid_type", "concurrency_limit"),
    ({"concurrency_limit": 2}, "required", "concurrency_key"),
    ({"rate_limit": {}}, "required", "rate_limit.limit"),
    ({"rate_limit": {"limit": 1}}, "required", "rate_limit.period_seconds"),
    ({"rate_limit": {"limit": 0, "period_seconds": 1}}, "out_of_range", "rate_limit.limit"),
    ({"rate_limit": {"limit": 1001, "period_seconds": 1}}, "out_of_range", "rate_limit.limit"),
    ({"rate_limit": {"limit": 1, "period_seconds": 0}}, "out_of_range", "rate_limit.period_seconds"),
    ({"rate_limit": {"limit": 1, "period_seconds": 86_401}}, "out_of_range", "rate_limit.period_seconds"),
    ({"rate_limit": {"limit": 1, "period_seconds": 1, "key": ""}}, "required", "rate_limit.key"),
    ({"rate_limit": {"limit": 1, "period_seconds": 1, "key": "k" * 129}}, "too_long", "rate_limit.key"),
    ({"rate_limit": {"limit": 1, "period_seconds": 1, "keys": "k"}}, "unknown_field", "rate_limit.keys"),
    ({"rate_limit": "10/minute"}, "invalid_type", "rate_limit"),
    ({"expires_after_seconds": 0}, "out_of_range", "expires_after_seconds"),
    ({"expires_after_seconds": 2_592_001}, "out_of_range", "expires_after_seconds"),
    ({"pause_after_failures": 0}, "out_of_range", "pause_after_failures"),
    ({"pause_after_failures": 101}, "out_of_range", "pause_after_failures"),
    ({"on_success": {}}, "required", "on_success"),
    ({"on_success": {**WEBHOOK, **PUBLISH}}, "invalid_choice", "on_success"),
    ({"on_success": {"email": "x"}}, "unknown_field", "on_success.email"),
    ({"on_failure": {"webhook": None}}, "invalid_type", "on_failure.webhook"),
    ({"on_failure": {"webhook": {}}}, "required", "on_failure.webhook.url"),
    ({"on_failure": {"webhook": {"url": "http://10.0.0.1/"}}}, "destination_forbidden", "on_failure.webhook.url"),
    ({"on_failure": {"webhook": {"url": "ftp://example.com/"}}}, "invalid_url", "on_failure.webhook.url"),
    (
        {"on_failure": {"webhook": {"url": "https://example.com/", "headers": {"Host": "x"}}}},
        "invalid_header",
        "on_failure.webhook.headers.Host",
    ),
    (
        {"on_failure": {"webhook": {"url": "https://example.com/", "method": "GET"}}},
        "unknown_field",
        "on_failure.webhook.method",
    ),
    (
        {"on_failure": {"webhook": {"url": "https://example.com/", "json": "${steps.a.output}"}}},
        "invalid_pipeline",
        "on_failure.webhook.json",
    ),
    (
        {"on_failure": {"webhook": {"url": "https://example.com/", "json": {"a": ["${run.nothing}"]}}}},
        "invalid_pipeline",
        "on_failure.webhook.json.a[0]",
    ),
    ({"on_failure": {"publish": {}}}, "required", "on_failure.publish.topic"),
    ({"on_failure": {"publish": {"topic": "Not A Topic"}}}, "invalid_topic", "on_failure.publish.topic"),
    ({"on_failure": {"publish": {"topic": "run.*"}}}, "invalid_topic", "on_failure.publish.topic"),
    ({"on_failure": {"publish": {"topic": "a.${params.x}"}}}, "invalid_pipeline", "on_failure.publish.topic"),
    (
        {"on_failure": {"publish": {"topic": "a", "payload": {"x": "${1 +}"}}}},
        "invalid_pipeline",
        "on_failure.publish.payload.x",
    ),
]


@pytest.mark.parametrize(("given", "code", "field"), REFUSED, ids=[f"{code} {field}" for _, code, field in REFUSED])
async def test_a_wrong_value_is_refused_at_creation_and_at_a_change(
    owner: Caller, given: dict[str, Any], code: str, field: str
) -> None:
    task = await owner.create_task()
    for answer in (await owner.post("/tasks", task_body(**given)), await owner.put(f"/tasks/{task['id']}", given)):
        problem = answer.json()
        fields = [each["field"] for each in problem.get("validation_errors", ())]
        assert (answer.status_code, problem["error_code"], fields) == (422, code, [field]), answer.text


async def test_a_limit_of_a_stored_key_may_be_changed_alone_and_the_key_not_be_removed_alone(owner: Caller) -> None:
    task = await owner.create_task(concurrency_key="k")
    assert (await owner.put(f"/tasks/{task['id']}", {"concurrency_limit": 3})).status_code == 200
    refused = await owner.put(f"/tasks/{task['id']}", {"concurrency_key": None})
    assert (refused.status_code, refused.json()["error_code"]) == (422, "required")


async def test_parameters_that_a_follow_up_needs_cannot_go(owner: Caller) -> None:
    payload = task_body()["payload"]
    follow_up = {"publish": {"topic": "done", "payload": {"x": "${params.x}"}}}
    task = await owner.create_task(payload={**payload, "params": {"x": 1}}, on_success=follow_up)
    refused = await owner.put(f"/tasks/{task['id']}", {"payload": payload})
    assert refused.status_code == 422
    assert refused.json()["validation_errors"][0]["field"] == "on_success.publish.payload.x"


async def test_a_resumed_task_counts_its_failures_anew(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await owner.post(f"/tasks/{task['id']}/pause")
    before = await gateway.pool.fetchval("SELECT active_since FROM task WHERE id = $1", UUID(task["id"]))
    await owner.post(f"/tasks/{task['id']}/resume")
    after = await gateway.pool.fetchval("SELECT active_since FROM task WHERE id = $1", UUID(task["id"]))
    assert after > before


async def test_a_task_stored_before_there_were_these_fields_is_shown_and_changed(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    # What is stored is older than the document.
    owner.client.event_hooks = {}
    old = '{"pipeline": [{"id": "a", "uses": "http.request", "with": {"url": "https://example.com/"}}], "params": null}'
    await gateway.pool.execute("UPDATE task SET payload = $2::text::jsonb WHERE id = $1", UUID(task["id"]), old)
    assert (await owner.show_task(task["id"]))["payload"]["pipeline"][0]["id"] == "a"
    changed = await owner.put(f"/tasks/{task['id']}", {"on_success": PUBLISH})
    assert changed.status_code == 200, changed.text
    # An admin of another test sees it too.
    await gateway.pool.execute("UPDATE task SET payload = payload - 'params' WHERE id = $1", UUID(task["id"]))
