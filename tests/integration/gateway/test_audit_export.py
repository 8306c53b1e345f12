"""`GET /audit/export`: all of it, line by line."""

import asyncio
import csv
import io
import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit import repository, service
from services.gateway.audit.wire import EntryFilter, EntryView
from shared.vocabulary.faults import Unavailable
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import Bench, Caller

MANY = """INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details)
          SELECT 'scheduler', 'task.completed', 'task', $1, jsonb_build_object('n', n) FROM generate_series(1, $2) n"""


async def test_every_entry_is_a_line_of_json_oldest_first(gateway: Bench, admin: Caller) -> None:
    subject = str(uuid4())
    await gateway.pool.execute(MANY, subject, 2500)
    answer = await admin.get("/audit/export", subject_id=subject)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.ndjson"'
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["details"]["n"] for line in lines] == [*range(1, 2501)]
    (newest,) = (await admin.get("/audit", subject_id=subject, limit=1)).json()["items"]
    assert lines[-1] == newest


async def test_csv_has_a_head_and_cells_that_no_spreadsheet_computes(gateway: Bench, admin: Caller) -> None:
    subject = f"=cmd|{uuid4()}"
    await gateway.pool.execute(
        "INSERT INTO audit_log (actor_name, action, subject_type, subject_id, details, request_id, trace_id) "
        "VALUES ('+a\"b', '-x', '@y', $1, '{\"a\": \"b,\\n\"}', E'\\tt', E'\\rr')",
        subject,
    )
    answer = await admin.get("/audit/export", format="csv", subject_id=subject)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    (row,) = csv.DictReader(io.StringIO(answer.text, newline=""))
    assert row.pop("seq").isdigit()
    assert row.pop("at").endswith("Z")
    assert row == {
        "actor_id": "",
        "actor_name": "'+a\"b",
        "action": "'-x",
        "subject_type": "'@y",
        "subject_id": f"'{subject}",
        "details": '{"a": "b,\\n"}',
        "request_id": "'\tt",
        "trace_id": "'\rr",
    }


async def test_an_export_without_entries_is_an_empty_file(admin: Caller) -> None:
    answers = [await admin.get("/audit/export", subject_id="none", format=form) for form in ("ndjson", "csv")]
    assert answers[0].text == ""
    assert answers[1].text.count("\n") == 1


async def test_it_holds_only_what_the_caller_may_see(gateway: Bench) -> None:
    auditor = await gateway.caller(Scope.AUDIT_READ)
    subject = str(uuid4())
    await gateway.pool.execute(MANY, subject, 1)
    assert (await auditor.get("/audit/export", subject_id=subject)).text == ""


@pytest.mark.parametrize(
    ("accept", "status"), [("text/csv", 200), ("application/x-ndjson", 200), ("*/*", 200), ("text/xml", 406)]
)
async def test_it_may_be_asked_for_by_its_own_media_types(admin: Caller, accept: str, status: int) -> None:
    answer = await admin.client.get("/audit/export", params={"subject_id": "none"}, headers={"Accept": accept})
    assert answer.status_code == status


async def test_an_export_that_breaks_in_the_middle_does_not_end_well(
    own_gateway: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = await own_gateway.admin()
    await own_gateway.pool.execute(MANY, "x", 2500)
    known = repository.next_entries

    async def once(
        connection: AsyncConnection,
        filters: EntryFilter,
        actor_id: UUID | None,
        after: tuple[datetime, int] | None,
        limit: int,
    ) -> Sequence[EntryView]:
        if after is not None:
            raise Unavailable("away")
        return await known(connection, filters, actor_id, after, limit)

    monkeypatch.setattr(repository, "next_entries", once)
    for form in ("ndjson", "csv"):
        with pytest.raises(httpx.RemoteProtocolError):
            await admin.get("/audit/export", format=form)


async def test_only_so_many_exports_go_on_at_once(own_gateway: Bench) -> None:
    admin = await own_gateway.admin()
    await own_gateway.pool.execute(MANY, "x", 60_000)
    answers = await asyncio.gather(*(admin.get("/audit/export") for _ in range(service.EXPORTS_AT_ONCE + 2)))
    statuses = {answer.status_code for answer in answers}
    refused = [answer for answer in answers if answer.status_code != 200]
    assert statuses <= {200, 429}
    assert all(answer.headers["retry-after"] for answer in refused)
    assert (await admin.get("/audit/export", subject_id="none")).status_code == 200
