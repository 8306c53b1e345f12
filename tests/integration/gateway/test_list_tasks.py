from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from services.gateway.tasks.wire import TaskFilter
from shared.vocabulary.limits import TOTAL_MAX
from tests.integration.gateway.bench import HTTP_CALL, Bench, Caller, task_body
from tests.support.rows import make_due_work

AN_HOUR = "/tasks?next_run_after=2030-01-01T00:00:00Z&next_run_before=2030-01-01T01:00:00Z"
SORTS = ("created_at", "updated_at", "priority", "title", "next_run_at")


async def _titles(caller: Caller, **filters: str | int) -> list[str]:
    answer = await caller.get("/tasks", **filters)
    assert answer.status_code == 200, answer.text
    return [item["title"] for item in answer.json()["items"]]


async def _make(caller: Caller, *titles: str) -> None:
    made = await caller.post("/tasks/batch", {"tasks": [task_body(title=title) for title in titles]})
    assert made.status_code == 201, made.text


async def _at(gateway: Bench, task: dict[str, Any], next_at: datetime | None) -> None:
    await gateway.pool.execute("UPDATE schedule_cursor SET next_at = $2 WHERE task_id = $1", UUID(task["id"]), next_at)


async def test_tasks_are_listed_newest_first_a_page_at_a_time(owner: Caller) -> None:
    made = [(await owner.create_task(title=f"task {number}"))["id"] for number in range(5)]
    page = (await owner.get("/tasks", limit=2, offset=1)).json()
    assert [item["id"] for item in page["items"]] == [made[3], made[2]]
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (5, 2, 1, True)
    last = (await owner.get("/tasks", limit=2, offset=4)).json()
    assert ([item["id"] for item in last["items"]], last["has_more"], last["next_cursor"]) == ([made[0]], False, None)


async def test_a_page_has_fifty_items_unless_asked_otherwise(owner: Caller) -> None:
    nothing = {"items": [], "total": 0, "is_total_capped": False, "has_more": False, "next_cursor": None}
    assert (await owner.get("/tasks")).json() == {**nothing, "limit": 50, "offset": 0}


async def test_a_list_shows_each_task_as_it_is_shown_alone(owner: Caller) -> None:
    made = await owner.create_task(payload={"params": {"a": 1}, "pipeline": [HTTP_CALL]})
    assert (await owner.get("/tasks")).json()["items"] == [made]


async def test_tasks_are_filtered_by_each_of_their_kinds(owner: Caller) -> None:
    await owner.create_task(title="cron", tags=["red"], priority=1)
    rrule = await owner.create_task(
        title="rrule", schedule_kind="rrule", schedule_expr="FREQ=DAILY", tags=["red", "blue"], dedupe_key="k"
    )
    await owner.post(f"/tasks/{rrule['id']}/pause")
    assert await _titles(owner, status="paused") == ["rrule"]
    assert await _titles(owner, schedule_kind="cron") == ["cron"]
    assert await _titles(owner, tag="blue") == ["rrule"]
    assert await _titles(owner, tag="red") == ["rrule", "cron"]
    assert await _titles(owner, tag="red", status="active") == ["cron"]
    assert await _titles(owner, priority=1) == ["cron"]
    assert await _titles(owner, dedupe_key="k") == ["rrule"]
    assert await _titles(owner, created_by=str(owner.agent_id)) == ["rrule", "cron"]


async def test_the_tasks_of_another_agent_are_an_empty_list(gateway: Bench, owner: Caller, admin: Caller) -> None:
    await owner.create_task()
    answer = await (await gateway.caller()).get("/tasks", created_by=str(owner.agent_id))
    assert (answer.status_code, answer.json()["total"]) == (200, 0)
    assert len(await _titles(admin, created_by=str(owner.agent_id))) == 1


@pytest.mark.parametrize("text", ["100%", "%", "a_b", "_", "back\\slash", "\\", "'--", '"quoted"', "ЁЛКА", "İ", "x"])
async def test_a_text_is_found_where_a_title_has_it_to_the_letter(owner: Caller, text: str) -> None:
    await _make(owner, f"before {text} after", "1000 aXb back/slash -- quoted elka")
    found = await _titles(owner, q=text)
    assert f"before {text} after" in found
    assert all(text.lower() in title.lower() for title in found)


async def test_a_text_is_found_however_it_is_written(owner: Caller) -> None:
    await _make(owner, "Weekly REPORT", "weekly reports", "report")
    assert await _titles(owner, q="Y rep", sort="title") == ["Weekly REPORT", "weekly reports"]
    assert await _titles(owner, q="y report", status="paused") == []


async def test_only_the_newest_are_searched_for_a_short_text_and_all_for_a_longer_one(
    gateway: Bench, owner: Caller
) -> None:
    await owner.create_task(title="needle")
    await _fill(gateway, owner, 20_001)
    assert await _titles(owner, q="ne") == []
    assert await _titles(owner, q="nee") == ["needle"]


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{name}" for name in SORTS)])
@pytest.mark.parametrize("how", ["offset", "cursor"])
async def test_pages_put_together_are_the_sorted_list(gateway: Bench, owner: Caller, sort: str, how: str) -> None:
    for number, title in enumerate(("b", "A", "c", "a", "B")):
        task = await owner.create_task(title=title, priority=1 + number % 3, tags=["t"])
        await _at(gateway, task, datetime(2030, 1, 1 + number % 2, tzinfo=UTC))
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"has_more": True, "next_cursor": None}
    while page["has_more"]:
        where = {"cursor": page["next_cursor"]} if page["next_cursor"] and how == "cursor" else {"offset": len(found)}
        page = (await owner.get("/tasks", sort=sort, limit=2, tag="t", **where)).json()
        found += page["items"]
        assert page["total"] == 5
    name, is_descending = sort.removeprefix("-"), sort.startswith("-")
    keys = [(item[name].lower() if name == "title" else item[name]) for item in found]
    assert keys == sorted(keys, reverse=is_descending)
    assert len({item["id"] for item in found}) == 5


async def test_of_one_priority_the_older_come_first(owner: Caller) -> None:
    await _make(owner, "first", "second", "third")
    assert await _titles(owner, sort="priority") == ["first", "second", "third"]
    assert await _titles(owner, sort="-priority") == ["third", "second", "first"]


async def test_sorted_by_their_next_run_only_tasks_with_one_are_listed(gateway: Bench, owner: Caller) -> None:
    later, sooner, waits, paused = [await owner.create_task(title=title) for title in ("later", "sooner", "w", "p")]
    await owner.create_task(title="event", schedule_kind="event", schedule_expr="a.b")
    await owner.post(f"/tasks/{paused['id']}/pause")
    await _at(gateway, later, datetime(2030, 1, 3, tzinfo=UTC))
    await _at(gateway, sooner, datetime(2030, 1, 2, tzinfo=UTC))
    await _at(gateway, waits, datetime(2030, 1, 4, tzinfo=UTC))
    await make_due_work(gateway.pool, UUID(waits["id"]), datetime(2030, 1, 1, tzinfo=UTC))
    assert await _titles(owner, sort="next_run_at") == ["w", "sooner", "later"]
    assert await _titles(owner, sort="-next_run_at") == ["later", "sooner", "w"]


@pytest.mark.parametrize("sort", ["-created_at", "next_run_at"])
async def test_a_range_of_next_runs_takes_its_beginning_and_not_its_end(
    gateway: Bench, owner: Caller, sort: str
) -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    for title, minutes in (("end", 60), ("last", 59), ("first", 0), ("before", -1)):
        await _at(gateway, await owner.create_task(title=title), start + timedelta(minutes=minutes))
    waits = await owner.create_task(title="waits")
    await _at(gateway, waits, start + timedelta(days=1))
    await make_due_work(gateway.pool, UUID(waits["id"]), start + timedelta(minutes=30))
    runs_before = await owner.create_task(title="runs before")
    await _at(gateway, runs_before, start + timedelta(minutes=30))
    await make_due_work(gateway.pool, UUID(runs_before["id"]), start - timedelta(minutes=30))
    found = [item["title"] for item in (await owner.client.get(f"{AN_HOUR}&sort={sort}")).json()["items"]]
    assert sorted(found) == ["first", "last", "waits"]
    assert "end" in await _titles(owner, next_run_after="2030-01-01T03:00:00+02:00")
    assert await _titles(owner, next_run_before="2030-01-01T00:00:00Z") == ["runs before", "before"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *[(f"limit={limit}", "limit") for limit in ("0", "-1", "201", "1000000000", "abc", "")],
        *[(f"offset={offset}", "offset") for offset in ("-1", "10000001", "1.5")],
        ("sort=payload", "sort"),
        ("sort=created_at;DROP", "sort"),
        ("colour=red", "colour"),
        ("status=active&status=paused", "status"),
        ("status=dead", "status"),
        ("schedule_kind=weekly", "schedule_kind"),
        ("priority=0", "priority"),
        ("priority=high", "priority"),
        ("created_by=me", "created_by"),
        ("tag=", "tag"),
        (f"tag={'x' * 65}", "tag"),
        ("q=", "q"),
        (f"q={'x' * 201}", "q"),
        ("q=%00", "q"),
        (f"dedupe_key={'x' * 129}", "dedupe_key"),
        ("next_run_after=2030-01-01T00:00:00", "next_run_after"),
        ("next_run_after=yesterday", "next_run_after"),
        ("next_run_after=2030-01-02T00:00:00Z&next_run_before=2030-01-01T00:00:00Z", "next_run_before"),
        ("next_run_after=2030-01-01T00:00:00Z&next_run_before=2030-01-01T00:00:00Z", "next_run_before"),
        ("next_run_after=2030-01-01T00:00:00Z&next_run_before=2031-01-03T00:00:00Z", "next_run_before"),
    ],
)
async def test_a_wrong_parameter_is_named(owner: Caller, query: str, field: str) -> None:
    answer = await owner.client.get(f"/tasks?{query}")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")
    assert [fault["field"] for fault in answer.json()["validation_errors"]] == [field]


async def test_what_is_no_percent_encoded_utf_8_is_refused(owner: Caller) -> None:
    answer = await owner.client.get("/tasks?q=%ff%fe")
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")


async def test_a_cursor_is_good_for_its_own_list_alone(gateway: Bench, owner: Caller, admin: Caller) -> None:
    await _make(owner, "a", "b", "c")
    cursor = (await owner.get("/tasks", limit=1)).json()["next_cursor"]
    spoilt = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    others = [
        (owner, {"cursor": spoilt}),
        (owner, {"cursor": "x"}),
        (owner, {"cursor": cursor, "status": "active"}),
        (owner, {"cursor": cursor, "sort": "title"}),
        (await gateway.caller(), {"cursor": cursor}),
        (admin, {"cursor": cursor}),
    ]
    for caller, parameters in others:
        answer = await caller.get("/tasks", limit=1, **parameters)
        assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_cursor"), parameters
    both = await owner.get("/tasks", limit=1, cursor=cursor, offset=1)
    assert (both.status_code, both.json()["validation_errors"][0]["field"]) == (400, "offset")


async def test_a_cursor_holds_a_title_of_the_longest(owner: Caller) -> None:
    await _make(owner, "\U0001f4e6" * 200, "\U0001f4e7" * 200)
    first = (await owner.get("/tasks", sort="title", limit=1)).json()
    second = (await owner.get("/tasks", sort="title", limit=1, cursor=first["next_cursor"])).json()
    assert [page["items"][0]["title"][0] for page in (first, second)] == ["\U0001f4e6", "\U0001f4e7"]


async def test_more_than_are_counted_are_listed_all_the_same(gateway: Bench, owner: Caller) -> None:
    await _fill(gateway, owner, TOTAL_MAX + 50)
    newest = await _titles(owner, limit=2)
    assert newest == [f"filled {TOTAL_MAX + 50}", f"filled {TOTAL_MAX + 49}"]
    assert await _titles(owner, limit=2, sort="updated_at") == newest
    assert await _titles(owner, limit=2, sort="next_run_at") == newest
    for sort in (*SORTS, *(f"-{name}" for name in SORTS)):
        filters = {"sort": sort, "status": "active", "tag": "many", "q": "filled"}
        page = (await owner.get("/tasks", limit=2, **filters)).json()
        assert (page["total"], page["is_total_capped"], len(page["items"])) == (TOTAL_MAX, True, 2)
        following = (await owner.get("/tasks", limit=2, **filters, cursor=page["next_cursor"])).json()
        offset = (await owner.get("/tasks", limit=2, **filters, offset=2)).json()
        assert following["items"] == offset["items"]
        keys = [_key(item, sort) for item in [*page["items"], *following["items"]]]
        assert all((one >= two) if sort.startswith("-") else (one <= two) for one, two in pairwise(keys))


def test_every_filter_of_a_list_is_one_of_the_search() -> None:
    public = {"status", "schedule_kind", "created_by", "tag", "priority", "dedupe_key", "q"}
    assert public | {"next_run_after", "next_run_before"} <= {*TaskFilter.__struct_fields__}


def _key(item: dict[str, Any], sort: str) -> tuple[Any, ...]:
    name = sort.removeprefix("-")
    return (item[name], item["created_at"], item["id"]) if name == "priority" else (item[name], item["id"])


async def _fill(gateway: Bench, owner: Caller, count: int) -> None:
    await gateway.pool.execute(
        """WITH made AS (
               INSERT INTO task (id, agent_id, title, schedule_kind, schedule_expr, timezone, anchor_at, payload, tags,
                                 priority, created_at, updated_at)
               SELECT gen_random_uuid(), $1, 'filled ' || n, 'cron', '0 * * * *', 'UTC', now(), $3, '{many}', 1 + n % 9,
                      now() + n * interval '1 second', now() - n * interval '1 second'
                 FROM generate_series(1, $2::int) AS n
               RETURNING id, updated_at)
           INSERT INTO schedule_cursor (task_id, schedule_rev, next_at)
           SELECT id, 1, updated_at + interval '1000 days' FROM made""",
        owner.agent_id,
        count,
        {"pipeline": [HTTP_CALL]},
    )
