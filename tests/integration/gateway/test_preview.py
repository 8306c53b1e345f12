import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller

CASES = Path(__file__).parents[4] / "shared" / "conformance"
PATH = "/schedules/preview"


def _cron(expr: str, /, **changes: object) -> dict[str, Any]:
    return {"schedule_kind": "cron", "schedule_expr": expr, "timezone": "UTC", **changes}


async def _preview(caller: Caller, *schedules: dict[str, Any]) -> list[dict[str, Any]]:
    answer = await caller.post(PATH, {"schedules": schedules})
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_the_next_occurrences_are_shown_in_utc_and_on_the_local_clock(owner: Caller) -> None:
    draft = _cron("0 7 * * 1-5", timezone="Europe/Chisinau", after="2026-03-27T00:00:00Z", count=2)
    (item,) = await _preview(owner, draft)
    assert item == {
        "occurrences": [
            {"utc": "2026-03-27T05:00:00Z", "local": "2026-03-27T07:00:00+02:00"},
            {"utc": "2026-03-30T04:00:00Z", "local": "2026-03-30T07:00:00+03:00"},
        ],
        "description": "At 07:00, Monday through Friday (Europe/Chisinau)",
        "warnings": [],
        "error": None,
    }


async def test_what_is_left_out_is_ten_occurrences_from_now_in_the_default_zone(owner: Caller) -> None:
    (item,) = await _preview(owner, {"schedule_kind": "cron", "schedule_expr": "0 * * * *"})
    first = datetime.fromisoformat(item["occurrences"][0]["utc"])
    assert len(item["occurrences"]) == 10
    assert timedelta(0) < first - datetime.now(UTC) <= timedelta(hours=1, seconds=5)
    assert "Europe/Chisinau" in item["description"]


async def test_the_instant_asked_from_is_exclusive_and_may_lie_in_the_past(owner: Caller) -> None:
    drafts = [_cron("0 0 1 1 *", after=after, count=1) for after in ("1900-01-01T00:00:00Z", "1969-12-31T23:59:59.9Z")]
    items = await _preview(owner, *drafts)
    found = [item["occurrences"][0]["utc"] for item in items]
    assert found == ["1901-01-01T00:00:00Z", "1970-01-01T00:00:00Z"]


async def test_one_bad_schedule_is_its_own_error_and_refuses_no_other(owner: Caller) -> None:
    bad, good = await _preview(owner, _cron("61 * * * *"), _cron("0 * * * *"))
    assert (bad["occurrences"], bad["description"], bad["warnings"]) == ([], None, [])
    assert set(bad["error"]) == {"error_code", "message", "field", "position", "suggestion"}
    assert (bad["error"]["error_code"], bad["error"]["field"]) == ("invalid_schedule", "schedule_expr")
    assert (good["error"], len(good["occurrences"])) == (None, 10)


ERRORS = [
    (_cron("61 * * * *"), "invalid_schedule", "schedule_expr"),
    (_cron(""), "invalid_schedule", "schedule_expr"),
    (_cron("0 0 30 2 *"), "schedule_never_fires", "schedule_expr"),
    (_cron("0 0 30 2 *", after="1990-01-01T00:00:00Z"), "schedule_never_fires", "schedule_expr"),
    (_cron("* * * * * *"), "schedule_too_frequent", "schedule_expr"),
    (_cron("0," * 10_000 + "0 * * * *"), "schedule_too_complex", "schedule_expr"),
    (_cron("0 * * * *", timezone="Mars/Olympus"), "invalid_timezone", "timezone"),
    (_cron("0 * * * *", timezone=""), "invalid_timezone", "timezone"),
    (_cron("0 * * * *", schedule_kind="corn"), "invalid_schedule", "schedule_kind"),
    (_cron("0 * * * *", after="2026-01-01T00:00:00"), "invalid_datetime", "after"),
    (_cron("0 * * * *", after="1899-12-31T23:59:59Z"), "invalid_datetime", "after"),
    (_cron("0 * * * *", after="yesterday"), "invalid_datetime", "after"),
    (_cron("0 * * * *", after=""), "invalid_datetime", "after"),
    (_cron("2020-01-01T00:00:00Z", schedule_kind="once"), "schedule_in_past", "schedule_expr"),
    (_cron("10000-01-01T00:00:00Z", schedule_kind="once"), "invalid_datetime", "schedule_expr"),
    (_cron("Order placed", schedule_kind="event"), "invalid_schedule", "schedule_expr"),
]


async def test_every_refusal_has_its_code_and_its_field(owner: Caller) -> None:
    items = await _preview(owner, *(draft for draft, _, _ in ERRORS))
    found = [(item["error"]["error_code"], item["error"]["field"]) for item in items]
    assert found == [(code, field) for _, code, field in ERRORS]


async def test_an_admin_may_have_a_schedule_every_second(admin: Caller) -> None:
    (item,) = await _preview(admin, _cron("* * * * * *"))
    assert item["error"] is None
    assert {warning["code"] for warning in item["warnings"]} == {"seconds", "many_a_day"}


async def test_a_schedule_that_has_ended_before_the_instant_asked_from_is_no_error(owner: Caller) -> None:
    once = _cron("2020-01-01T00:00:00Z", schedule_kind="once", after="2021-01-01T00:00:00Z")
    rule = "DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=3"
    ended = _cron(rule, schedule_kind="rrule", after="2021-01-01T00:00:00Z")
    assert [(item["occurrences"], item["error"]) for item in await _preview(owner, once, ended)] == [([], None)] * 2


async def test_an_event_schedule_is_described_and_has_no_occurrences(owner: Caller) -> None:
    (item,) = await _preview(owner, {"schedule_kind": "event", "schedule_expr": "email.*"})
    assert (item["occurrences"], item["error"]) == ([], None)
    assert item["description"] == "Whenever an event of any topic like email.* is published"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"schedules": []}, "required"),
        ({"schedules": [_cron("0 * * * *")] * 101}, "too_long"),
        ({"schedules": [_cron("0 * * * *", count=0)]}, "out_of_range"),
        ({"schedules": [_cron("0 * * * *", count=101)]}, "out_of_range"),
        ({"schedules": [_cron("0 * * * *", expr="x")]}, "unknown_field"),
        ({"schedules": [_cron("0 * * * *", schedule_expr=5)]}, "invalid_type"),
        ({"schedules": [{"schedule_kind": "cron"}]}, "required"),
        ({"schedules": _cron("0 * * * *")}, "invalid_type"),
    ],
)
async def test_a_request_of_another_form_is_refused_as_a_whole(owner: Caller, body: object, code: str) -> None:
    answer = await owner.post(PATH, body)
    assert (answer.status_code, answer.json()["error_code"]) == (422, code)


async def test_it_needs_the_scope_to_read_tasks(gateway: Bench) -> None:
    powerless = await gateway.caller(*(scope for scope in Scope if scope not in (Scope.TASKS_READ, Scope.ADMIN)))
    answer = await powerless.post(PATH, {"schedules": [_cron("0 * * * *")]})
    assert (answer.status_code, answer.json()["error_code"]) == (403, "insufficient_scope")


async def test_others_are_answered_while_a_long_preview_is_computed(owner: Caller, gateway: Bench) -> None:
    dear = _cron(
        "DTSTART:19000101T000000Z\nRRULE:FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", schedule_kind="rrule", count=100
    )
    other = await gateway.caller()
    long = owner.client.post(PATH, json={"schedules": [dear] * 100}, timeout=60)
    pending = asyncio.create_task(long)
    slowest = timedelta(0)
    while not pending.done():
        slowest = max(slowest, (await other.get("/agents/me")).elapsed)
    assert (await pending).status_code == 200
    assert slowest < timedelta(seconds=1)


@pytest.mark.skipif(not CASES.is_dir(), reason="no conformance cases beside the repository")
async def test_the_conformance_cases_hold_through_the_api(admin: Caller) -> None:
    rows = [json.loads(line) for line in (CASES / "cron.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [row for row in rows if row.get("expected") and row["after"] >= "1900"][::14]
    drafts = [_cron(row["expr"], timezone=row["tz"], after=row["after"], count=len(row["expected"])) for row in rows]
    items = await _preview(admin, *drafts)
    wanted = [[datetime.fromisoformat(at) for at in row["expected"]] for row in rows]
    found = [[datetime.fromisoformat(each["utc"]) for each in item["occurrences"]] for item in items]
    assert [row["id"] for row, a, b in zip(rows, wanted, found, strict=True) if a != b] == []
