import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from redis.asyncio import Redis

from shared.streams.doorbell import Bell
from tests.integration.gateway.bench import HTTP_CALL, Bench, Caller, payload_with, task_body
from tests.support.waiting import wait_until


async def test_a_created_task_is_answered_whole_with_its_place_and_version(owner: Caller) -> None:
    answer = await owner.post("/tasks", task_body())
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/tasks/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (await owner.get(f"/tasks/{made['id']}")).json() == made


async def test_what_is_left_out_has_the_documented_defaults(owner: Caller) -> None:
    body = task_body()
    del body["timezone"]
    made = (await owner.post("/tasks", body)).json()
    assert made["timezone"] == "Europe/Chisinau"
    assert (made["priority"], made["max_retries"], made["timeout_seconds"]) == (5, 3, 60)
    assert (made["overlap_policy"], made["misfire_policy"]) == ("skip", "latest")
    assert (made["backoff_strategy"], made["status"], made["version"]) == ("exponential_jitter", "active", 1)
    assert made["created_by"] == str(owner.agent_id)


async def test_every_field_comes_back_as_it_was_given(owner: Caller) -> None:
    given = task_body(
        description="What it is for",
        priority=1,
        dedupe_key="key",
        dedupe_window_seconds=60,
        max_retries=0,
        backoff_strategy="fixed",
        timeout_seconds=10,
        concurrency_key="one at a time",
        overlap_policy="allow_all",
        misfire_policy="all",
        misfire_window_seconds=120,
        jitter_seconds=5,
        starts_at="2030-01-01T00:00:00Z",
        ends_at="2031-01-01T00:00:00Z",
        max_runs=7,
        exclusions=["2030-12-25", {"from": "2030-07-01", "until": "2030-07-31T12:00:00"}],
        tags=["a", "b"],
        payload={"params": {"n": [1, 2.5, None, True, "é"]}, "pipeline": [HTTP_CALL]},
    )
    made = await owner.create_task(**given)
    assert {name: made[name] for name in given} == given
    assert made == await owner.show_task(made["id"])


async def test_the_cursor_points_to_the_first_occurrence(gateway: Bench, owner: Caller) -> None:
    made = await owner.create_task(schedule_expr="30 4 1 1 *")
    row = await gateway.row("SELECT next_at, schedule_rev FROM schedule_cursor WHERE task_id = $1", UUID(made["id"]))
    assert datetime.fromisoformat(made["next_run_at"]) == row["next_at"]
    assert (row["next_at"].month, row["next_at"].hour, row["schedule_rev"]) == (1, 4, 1)


async def test_the_first_occurrence_is_not_before_starts_at(owner: Caller) -> None:
    made = await owner.create_task(starts_at="2031-05-05T12:00:00Z")
    assert made["next_run_at"] == "2031-05-05T12:00:00Z"


async def test_an_offset_is_answered_as_utc(owner: Caller) -> None:
    made = await owner.create_task(starts_at="2031-05-05T12:00:00+02:00")
    assert made["starts_at"] == "2031-05-05T10:00:00Z"


async def test_a_once_task_fires_at_its_time(owner: Caller) -> None:
    at = (datetime.now(UTC) + timedelta(hours=1)).replace(microsecond=0)
    made = await owner.create_task(schedule_kind="once", schedule_expr=at.isoformat())
    assert datetime.fromisoformat(made["next_run_at"]) == at


async def test_a_recurrence_without_start_is_anchored_at_the_creation(gateway: Bench, owner: Caller) -> None:
    made = await owner.create_task(schedule_kind="rrule", schedule_expr="FREQ=HOURLY;INTERVAL=5")
    anchor = await gateway.pool.fetchval("SELECT anchor_at FROM task WHERE id = $1", UUID(made["id"]))
    assert datetime.fromisoformat(made["next_run_at"]) - anchor == timedelta(hours=5)


async def test_the_title_is_trimmed(owner: Caller) -> None:
    assert (await owner.create_task(title="  Hello  "))["title"] == "Hello"


async def test_each_tag_is_kept_once(owner: Caller) -> None:
    assert (await owner.create_task(tags=["b", "a", "b"]))["tags"] == ["b", "a"]


async def test_the_schedulers_bell_rings_after_the_commit(owner: Caller, redis: Redis) -> None:
    await owner.create_task()
    await wait_until(lambda: redis.xlen(Bell.TASK_CHANGES))


async def test_the_trace_of_the_request_is_kept_with_the_task(gateway: Bench, owner: Caller) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await owner.post("/tasks", task_body(), headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    kept = await gateway.pool.fetchval("SELECT traceparent FROM task WHERE id = $1", UUID(answer.json()["id"]))
    assert kept.split("-")[1] == trace


async def test_an_admin_may_create_a_task_every_second(admin: Caller) -> None:
    await admin.create_task(schedule_expr="* * * * * *")


async def test_an_admin_may_create_a_task_for_another_agent(admin: Caller, owner: Caller) -> None:
    made = await admin.create_task(created_by=str(owner.agent_id))
    assert made["created_by"] == str(owner.agent_id)
    assert (await owner.get(f"/tasks/{made['id']}")).status_code == 200


async def test_an_agent_may_name_itself_as_owner(owner: Caller) -> None:
    assert (await owner.create_task(created_by=str(owner.agent_id)))["created_by"] == str(owner.agent_id)


async def test_a_second_living_task_with_the_same_dedupe_key_is_refused(owner: Caller) -> None:
    first = await owner.create_task(dedupe_key="daily report")
    answer = await owner.post("/tasks", task_body(dedupe_key="daily report"))
    assert (answer.status_code, answer.json()["error_code"]) == (409, "already_exists")
    await owner.post(f"/tasks/{first['id']}/cancel")
    await owner.create_task(dedupe_key="daily report")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"title": ""}, "required", "title"),
    ({"title": " \t\n "}, "required", "title"),
    ({"title": "x" * 201}, "too_long", "title"),
    ({"title": "\u202e\u200b\u0007"}, "invalid_character", "title"),
    ({"title": "a\u0000b"}, "invalid_character", "title"),
    ({"title": 5}, "invalid_type", "title"),
    ({"title": None}, "invalid_type", "title"),
    ({"description": "x" * 2001}, "too_long", "description"),
    ({"schedule_expr": "61 * * * *"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_expr": "* * * * * * *"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_expr": "*/0 * * * *"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_expr": ""}, "invalid_schedule", "schedule_expr"),
    ({"schedule_expr": "0," * 10_001 + "0 * * * *"}, "schedule_too_complex", "schedule_expr"),
    ({"schedule_kind": "rrule", "schedule_expr": "RDATE:" + "2" * 20_001}, "schedule_too_complex", "schedule_expr"),
    ({"schedule_expr": "0 0 30 2 *"}, "schedule_never_fires", "schedule_expr"),
    ({"schedule_expr": "*/2 * * * * *"}, "schedule_too_frequent", "schedule_expr"),
    (
        {"schedule_kind": "rrule", "schedule_expr": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"},
        "schedule_never_fires",
        "schedule_expr",
    ),
    ({"schedule_kind": "rrule", "schedule_expr": "FREQ=HOURLY;INTERVAL=0"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_kind": "rrule", "schedule_expr": "FREQ=SOMETIMES"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_kind": "once", "schedule_expr": "2020-01-01T00:00:00Z"}, "schedule_in_past", "schedule_expr"),
    ({"schedule_kind": "once", "schedule_expr": "2030-01-01T00:00:60Z"}, "invalid_datetime", "schedule_expr"),
    ({"schedule_kind": "once", "schedule_expr": "10000-01-01T00:00:00Z"}, "invalid_datetime", "schedule_expr"),
    ({"schedule_kind": "event", "schedule_expr": "Email received"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_kind": "event", "schedule_expr": "a.**.b"}, "invalid_schedule", "schedule_expr"),
    ({"schedule_kind": "event", "schedule_expr": "a" * 201}, "invalid_schedule", "schedule_expr"),
    ({"schedule_kind": "event", "schedule_expr": "a", "event_filter": "a +"}, "invalid_schedule", "event_filter"),
    ({"schedule_kind": "event", "schedule_expr": "a", "event_filter": "a" * 1025}, "too_long", "event_filter"),
    ({"schedule_kind": "event", "schedule_expr": "a", "exclusions": ["x"]}, "invalid_datetime", "exclusions[0]"),
    ({"event_filter": "true"}, "invalid_schedule", "event_filter"),
    ({"schedule_kind": "sometimes"}, "invalid_choice", "schedule_kind"),
    ({"timezone": "Mars/Olympus"}, "invalid_timezone", "timezone"),
    ({"timezone": "../etc/passwd"}, "invalid_timezone", "timezone"),
    ({"timezone": ""}, "invalid_timezone", "timezone"),
    ({"timezone": "x" * 1000}, "invalid_timezone", "timezone"),
    ({"exclusions": ["2030-02-30"]}, "invalid_datetime", "exclusions[0]"),
    (
        {"exclusions": ["2030-01-01", {"from": "2031-01-02", "until": "2031-01-01"}]},
        "invalid_datetime",
        "exclusions[1].until",
    ),
    ({"exclusions": [{"from": "2031-01-01"}]}, "required", "exclusions[0].until"),
    ({"exclusions": [{"from": "2031-01-01", "until": "2031-01-01", "x": 1}]}, "unknown_field", "exclusions[0].x"),
    ({"exclusions": [5]}, "invalid_type", "exclusions[0]"),
    ({"exclusions": ["2030-01-01"] * 101}, "too_long", "exclusions"),
    (
        {"exclusions": [{"from": "2020-01-01", "until": "2100-01-01"}], "ends_at": "2099-01-01T00:00:00Z"},
        "schedule_never_fires",
        "schedule_expr",
    ),
    ({"paused_until": "2030-01-01T00:00:00Z"}, "unknown_field", "paused_until"),
    ({"starts_at": "2030-01-01T00:00:00"}, "invalid_datetime", "starts_at"),
    ({"ends_at": "2030-01-01T00:00:60Z"}, "invalid_datetime", "ends_at"),
    ({"ends_at": "10000-01-01T00:00:00Z"}, "invalid_datetime", "ends_at"),
    ({"starts_at": "0001-01-01T00:00:00+14:00"}, "invalid_datetime", "starts_at"),
    ({"ends_at": "9999-12-31T23:59:59-12:00"}, "invalid_datetime", "ends_at"),
    ({"ends_at": "2020-01-01T00:00:00Z"}, "schedule_never_fires", "schedule_expr"),
    ({"starts_at": "2031-01-01T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}, "out_of_range", "ends_at"),
    ({"priority": 0}, "out_of_range", "priority"),
    ({"priority": 10}, "out_of_range", "priority"),
    ({"priority": "5"}, "invalid_type", "priority"),
    ({"priority": True}, "invalid_type", "priority"),
    ({"priority": 10**30}, "out_of_range", "priority"),
    ({"max_retries": -1}, "out_of_range", "max_retries"),
    ({"max_retries": 101}, "out_of_range", "max_retries"),
    ({"timeout_seconds": 0}, "out_of_range", "timeout_seconds"),
    ({"timeout_seconds": 86401}, "out_of_range", "timeout_seconds"),
    ({"jitter_seconds": 86401}, "out_of_range", "jitter_seconds"),
    ({"max_runs": 0}, "out_of_range", "max_runs"),
    ({"dedupe_key": "k" * 129}, "too_long", "dedupe_key"),
    ({"tags": ["t" * 65]}, "too_long", "tags[0]"),
    ({"tags": ["t"] * 33}, "too_long", "tags"),
    ({"overlap_policy": "sometimes"}, "invalid_choice", "overlap_policy"),
    ({"status": "active"}, "unknown_field", "status"),
    ({"tenant_id": "x"}, "unknown_field", "tenant_id"),
    ({"next_run_at": None}, "unknown_field", "next_run_at"),
    ({"created_by": str(uuid4())}, "unknown_field", "created_by"),
    ({"created_by": "somebody"}, "invalid_id", "created_by"),
    ({"payload": {}}, "required", "payload.pipeline"),
    ({"payload": {"pipeline": []}}, "required", "payload.pipeline"),
    ({"payload": {"pipeline": [HTTP_CALL, HTTP_CALL]}}, "invalid_pipeline", "payload.pipeline[1].id"),
    ({"payload": {"pipeline": [HTTP_CALL], "x": 1}}, "unknown_field", "payload.x"),
    ({"payload": {"pipeline": [{**HTTP_CALL, "uses": "shell.run"}]}}, "unknown_tool", "payload.pipeline[0].uses"),
    ({"payload": {"pipeline": [{**HTTP_CALL, "id": "1 2"}]}}, "invalid_pipeline", "payload.pipeline[0].id"),
    ({"payload": {"pipeline": [{**HTTP_CALL, "iff": "x"}]}}, "unknown_field", "payload.pipeline[0].iff"),
    ({"payload": payload_with(url="http://10.0.0.1/")}, "destination_forbidden", "payload.pipeline[0].with.url"),
    ({"payload": payload_with(url="http://169.254.169.254/")}, "destination_forbidden", "payload.pipeline[0].with.url"),
    ({"payload": payload_with(url="ftp://example.com/")}, "invalid_url", "payload.pipeline[0].with.url"),
    (
        {"payload": payload_with(url="https://example.com/", headers={"X-A": "a\r\nb"})},
        "invalid_header",
        "payload.pipeline[0].with.headers.X-A",
    ),
    ({"payload": {"params": {"text": "x" * 65537}, "pipeline": [HTTP_CALL]}}, "out_of_range", "payload.params.text"),
    ({"payload": {"params": {"n": 2**63}, "pipeline": [HTTP_CALL]}}, "out_of_range", "payload.params.n"),
    ({"payload": {"params": {"a\u0000": 1}, "pipeline": [HTTP_CALL]}}, "invalid_character", "payload.params"),
]


async def test_a_wrong_value_is_refused_with_its_code_and_field_and_nothing_is_written(
    gateway: Bench, owner: Caller
) -> None:
    wrong = []
    for changes, code, field in REFUSED:
        answer = await owner.post("/tasks", task_body(**changes))
        problem = answer.json()
        fields = [each["field"] for each in problem.get("validation_errors", [])]
        if (answer.status_code, problem.get("error_code"), fields) != (422, code, [field]):
            wrong.append((changes, code, field, answer.status_code, answer.text[:400]))
    assert wrong == []
    assert await gateway.pool.fetchval("SELECT count(*) FROM task WHERE agent_id = $1", owner.agent_id) == 0
    assert await gateway.pool.fetchval("SELECT count(*) FROM audit_log WHERE actor_id = $1", owner.agent_id) == 0


async def test_every_wrong_field_is_named_at_once(owner: Caller) -> None:
    answer = await owner.post("/tasks", {"title": "", "priority": 99, "tittle": "x"})
    found = {(each["field"], each["code"]) for each in answer.json()["validation_errors"]}
    assert found == {
        ("title", "required"),
        ("priority", "out_of_range"),
        ("tittle", "unknown_field"),
        ("schedule_kind", "required"),
        ("schedule_expr", "required"),
        ("payload", "required"),
    }


async def test_a_misspelt_field_comes_with_a_suggestion(owner: Caller) -> None:
    answer = await owner.post("/tasks", task_body(tittle="x"))
    assert answer.json()["validation_errors"][0]["suggestion"] == "title"


@pytest.mark.parametrize("body", [[], "text", 5, None, True])
async def test_a_body_that_is_no_object_is_refused(owner: Caller, body: object) -> None:
    answer = await owner.post_bytes("/tasks", json.dumps(body).encode())
    assert (answer.status_code, answer.json()["error_code"]) == (422, "invalid_type")


async def test_an_admin_cannot_name_an_owner_that_does_not_exist(admin: Caller) -> None:
    answer = await admin.post("/tasks", task_body(created_by=str(uuid4())))
    assert (answer.status_code, answer.json()["error_code"]) == (422, "unknown_agent")
