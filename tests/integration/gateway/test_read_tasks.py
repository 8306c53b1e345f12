from uuid import UUID

from tests.integration.gateway.bench import Bench, Caller


async def test_tasks_are_listed_newest_first_a_page_at_a_time(owner: Caller) -> None:
    made = [(await owner.create_task(title=f"task {number}"))["id"] for number in range(5)]
    page = (await owner.get("/tasks", limit=2, offset=1)).json()
    assert [item["id"] for item in page["items"]] == [made[3], made[2]]
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (5, 2, 1, True)
    last = (await owner.get("/tasks", limit=2, offset=4)).json()
    assert ([item["id"] for item in last["items"]], last["has_more"]) == ([made[0]], False)


async def test_a_page_has_fifty_items_unless_asked_otherwise(owner: Caller) -> None:
    assert (await owner.get("/tasks")).json() == {"items": [], "total": 0, "limit": 50, "offset": 0, "has_more": False}


async def test_a_list_shows_each_task_as_it_is_shown_alone(owner: Caller) -> None:
    made = await owner.create_task(payload={"params": {"a": 1}, "pipeline": [_CALL]})
    assert (await owner.get("/tasks")).json()["items"] == [made]


async def test_tasks_are_filtered_by_status_kind_owner_and_tag(owner: Caller) -> None:
    cron = await owner.create_task(tags=["red"])
    rrule = await owner.create_task(schedule_kind="rrule", schedule_expr="FREQ=DAILY", tags=["red", "blue"])
    await owner.post(f"/tasks/{cron['id']}/pause")

    async def ids(**filters: str) -> list[str]:
        return [item["id"] for item in (await owner.get("/tasks", **filters)).json()["items"]]

    assert await ids(status="paused") == [cron["id"]]
    assert await ids(schedule_kind="rrule") == [rrule["id"]]
    assert await ids(tag="blue") == [rrule["id"]]
    assert await ids(tag="red") == [rrule["id"], cron["id"]]
    assert await ids(tag="red", status="active") == [rrule["id"]]
    assert await ids(created_by=str(owner.agent_id)) == [rrule["id"], cron["id"]]


async def test_the_next_run_is_what_waits_if_that_comes_before_the_cursor(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute(
        """INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source)
           SELECT gen_random_uuid(), id, agent_id, 1, '2030-01-01T00:00:00Z', '2030-01-01T00:00:03Z', 5, 'schedule'
             FROM task WHERE id = $1""",
        UUID(task["id"]),
    )
    await gateway.pool.execute(
        "UPDATE schedule_cursor SET next_at = '2030-01-02T00:00:00Z' WHERE task_id = $1", UUID(task["id"])
    )
    assert (await owner.show_task(task["id"]))["next_run_at"] == "2030-01-01T00:00:03Z"


_CALL = {"id": "call", "uses": "http.request", "with": {"url": "https://example.com/"}, "timeout_seconds": 5.0}
