"""What holds for every route: the order of checks, strict JSON, the shape of errors, the headers."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.vocabulary.limits import REQUEST_BODY_BYTES
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller, task_body

BROKEN: list[tuple[bytes, int, str]] = [
    (b"{", 400, "invalid_json"),
    (b"", 400, "invalid_json"),
    (b'{"title": NaN}', 400, "invalid_json"),
    (b'{"title": -Infinity}', 400, "invalid_json"),
    (b'{"priority": 1e999}', 400, "invalid_json"),
    (b'{"title": "a\x00b"}', 400, "invalid_json"),
    (b'{"title": "a", "title": "b"}', 400, "duplicate_key"),
    (b'{"payload": {"a": 1, "a": 2}}', 400, "duplicate_key"),
    (b"[" * 33 + b"]" * 33, 400, "json_too_complex"),
    (b"[" * 100_000, 400, "json_too_complex"),
    (b'{"a":' * 5000, 400, "json_too_complex"),
    (json.dumps([0] * 5001).encode(), 400, "json_too_complex"),
    (b'{"title": "\xff"}', 400, "invalid_encoding"),
    (b'{"title": "\\ud800"}', 400, "invalid_encoding"),
    (b'{"\\udfff": 1}', 400, "invalid_encoding"),
    (b'\xef\xbb\xbf{"title": "a"}', 400, "invalid_json"),
    (b'{"title": "\\u0000"}', 422, "invalid_character"),
    (b'{"\\u0000": 1}', 422, "invalid_character"),
    (b'{"priority": ' + b"9" * 30 + b"}", 422, "out_of_range"),
    (b'{"priority": ' + b"9" * 5000 + b"}", 422, "out_of_range"),
]


@pytest.mark.parametrize(("body", "status", "code"), BROKEN, ids=[str(body[:24]) for body, _, _ in BROKEN])
async def test_json_that_two_readers_could_understand_differently_is_refused(
    owner: Caller, body: bytes, status: int, code: str
) -> None:
    answer = await owner.post_bytes("/tasks", body)
    assert (answer.status_code, answer.json()["error_code"]) == (status, code)


async def test_a_body_of_300_kib_is_refused(owner: Caller) -> None:
    answer = await owner.post_bytes("/tasks", b" " * 300 * 1024)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "payload_too_large")


async def test_a_body_that_comes_in_pieces_is_refused_when_it_grows_too_large(owner: Caller) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(REQUEST_BODY_BYTES // 4096 + 1):
            yield b" " * 4096

    headers = {"Content-Type": "application/json"}
    answer = await owner.client.post("/tasks", content=pieces(), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (413, "payload_too_large")


async def test_a_body_in_pieces_is_read_whole(owner: Caller) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        text = json.dumps(task_body()).encode()
        yield text[:20]
        yield text[20:]

    answer = await owner.client.post("/tasks", content=pieces(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 201


async def test_a_body_that_is_too_large_is_refused_before_the_token_is_looked_at(gateway: Bench) -> None:
    answer = await (await gateway.client()).post("/tasks", content=b" " * 300 * 1024)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_content_type_is_refused(owner: Caller, headers: dict[str, str]) -> None:
    answer = await owner.client.post("/tasks", content=json.dumps(task_body()), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_in_utf_8_is_accepted_however_it_is_spelt(owner: Caller, media_type: str) -> None:
    answer = await owner.post_bytes("/tasks", json.dumps(task_body()).encode(), media_type)
    assert answer.status_code == 201


async def test_a_client_that_wants_xml_is_told_that_there_is_none(owner: Caller) -> None:
    answer = await owner.client.get("/tasks", headers={"Accept": "application/xml"})
    assert (answer.status_code, answer.json()["error_code"]) == (406, "not_acceptable")


async def test_a_browser_is_answered(owner: Caller) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    assert (await owner.client.get("/tasks", headers={"Accept": accept})).status_code == 200


async def test_a_wrong_method_is_told_the_right_ones(owner: Caller) -> None:
    answer = await owner.client.delete("/tasks")
    assert (answer.status_code, answer.json()["error_code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "path", ["/nowhere", "/tasks/17", "/tasks/not-a-uuid", "/tasks/..%2fagents", "//tasks", "/runs/x", "/tasks/%00"]
)
async def test_a_path_that_names_nothing_is_not_found(owner: Caller, path: str) -> None:
    answer = await owner.client.get(path)
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")


async def test_a_long_url_is_refused(owner: Caller) -> None:
    answer = await owner.client.get(f"/tasks?tag={'x' * 9000}")
    assert (answer.status_code, answer.json()["error_code"]) == (414, "uri_too_long")


async def test_long_headers_are_refused(owner: Caller) -> None:
    answer = await owner.client.get("/tasks", headers={"X-Filler": "x" * 17_000})
    assert (answer.status_code, answer.json()["error_code"]) == (431, "headers_too_large")


async def test_a_missing_scope_is_told_before_a_wrong_value_and_after_a_broken_body(gateway: Bench) -> None:
    caller = await gateway.caller(Scope.TASKS_READ)
    assert (await caller.post("/tasks", {"nonsense": 1})).status_code == 403
    assert (await caller.post_bytes("/tasks", b'{"title": "\\u0000"}')).status_code == 403
    assert (await caller.post_bytes("/tasks", b"{")).status_code == 400
    assert (await caller.post_bytes("/tasks", b"{}", "text/plain")).status_code == 415


async def test_an_error_has_the_documented_shape(owner: Caller) -> None:
    answer = await owner.post("/tasks", task_body(priority=0), headers={"X-Request-ID": "my-id.1"})
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:pao:error:out_of_range",
        "title": "Unprocessable content",
        "status": 422,
        "detail": "This must be at least 1.",
        "error_code": "out_of_range",
        "validation_errors": [
            {"field": "priority", "message": "This must be at least 1.", "code": "out_of_range"},
        ],
        "request_id": "my-id.1",
    }


async def test_the_request_id_of_the_client_is_kept_when_it_is_harmless(owner: Caller) -> None:
    kept = await owner.client.get("/tasks", headers={"X-Request-ID": "abc-123"})
    assert kept.headers["x-request-id"] == "abc-123"
    for harmful in ("a b", "x" * 129, 'a"b', "<script>"):
        replaced = await owner.client.get("/tasks", headers={"X-Request-ID": harmful})
        assert len(replaced.headers["x-request-id"]) == 32


async def test_every_answer_has_the_security_headers(gateway: Bench, owner: Caller) -> None:
    anonymous = await gateway.client()
    for answer in (await owner.get("/tasks"), await owner.get("/nowhere"), await anonymous.get("/health/live")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in answer.headers


async def test_the_same_routes_answer_without_the_prefix(gateway: Bench, owner: Caller) -> None:
    made = await owner.create_task()
    answer = await owner.client.get(f"{gateway.url}/tasks/{made['id']}")
    assert answer.json() == made


WRONG_QUERIES: list[tuple[str, str, str]] = [
    ("/tasks?limit=0", "limit", "out_of_range"),
    ("/tasks?limit=-1", "limit", "out_of_range"),
    ("/tasks?limit=201", "limit", "out_of_range"),
    ("/tasks?limit=1e9", "limit", "out_of_range"),
    ("/tasks?limit=abc", "limit", "invalid_type"),
    ("/tasks?limit=", "limit", "invalid_type"),
    ("/tasks?offset=-1", "offset", "out_of_range"),
    ("/tasks?offset=99999999999999999999999", "offset", "out_of_range"),
    ("/tasks?status=sleeping", "status", "invalid_choice"),
    ("/tasks?schedule_kind=x", "schedule_kind", "invalid_choice"),
    ("/tasks?created_by=me", "created_by", "invalid_id"),
    ("/tasks?limit=5&limit=6", "limit", "repeated_parameter"),
    ("/tasks?lmit=5", "lmit", "unknown_parameter"),
    ("/tasks?sort=payload", "sort", "invalid_choice"),
    ("/tasks?tag=%00", "tag", "invalid_character"),
    ("/tasks?tag=" + "x" * 65, "tag", "too_long"),
    ("/runs?success=maybe", "success", "invalid_type"),
    ("/runs?source=x", "source", "invalid_choice"),
    ("/runs?start_time=2030-01-01T00:00:00", "start_time", "invalid_datetime"),
    ("/runs?start_time=yesterday", "start_time", "invalid_datetime"),
    ("/runs?end_time=9999-12-31T23:59:59-12:00", "end_time", "invalid_datetime"),
    ("/runs?start_time=2030-01-02T00:00:00Z&end_time=2030-01-01T00:00:00Z", "end_time", "out_of_range"),
    ("/runs?start_time=2030-01-01T00:00:00Z&end_time=2032-01-01T00:00:00Z", "end_time", "out_of_range"),
    ("/tasks/00000000-0000-7000-8000-000000000000?x=1", "x", "unknown_parameter"),
]


async def test_a_wrong_query_is_refused_with_the_parameter(owner: Caller) -> None:
    wrong: list[Any] = []
    for path, field, code in WRONG_QUERIES:
        answer = await owner.client.get(path)
        problem = answer.json()
        found = [(each["field"], each["code"]) for each in problem.get("validation_errors", [])]
        if (answer.status_code, problem.get("error_code"), found) != (400, "invalid_query", [(field, code)]):
            wrong.append((path, answer.status_code, answer.text[:300]))
    assert wrong == []


async def test_junk_bytes_in_a_query_are_refused(owner: Caller) -> None:
    answer = await owner.client.get("/tasks?tag=%ff%fe")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")


@pytest.mark.parametrize("tag", ["'--", "%25", "_", "\\", "a;DROP TABLE task"])
async def test_a_filter_is_matched_to_the_letter(owner: Caller, tag: str) -> None:
    await owner.create_task(tags=["other"])
    assert (await owner.get("/tasks", tag=tag)).json()["items"] == []
    await owner.create_task(tags=[tag])
    assert (await owner.get("/tasks", tag=tag)).json()["total"] == 1
