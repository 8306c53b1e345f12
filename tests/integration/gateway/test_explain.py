from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from tests.integration.gateway.bench import Bench, Caller

INSERT_RUN = """INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, attempt, skip_reason, error,
                                      started_at, finished_at)
                SELECT $1, id, agent_id, $3, $4, 'schedule', 1, $5, $6, $3, $3 FROM task WHERE id = $2"""


class Past:
    """A task that fires every hour, and was created some hours ago."""

    def __init__(self, gateway: Bench, owner: Caller, task: dict[str, Any]) -> None:
        self.gateway, self.owner, self.task = gateway, owner, task
        self.task_id = UUID(task["id"])
        self.next_at = datetime.fromisoformat(task["next_run_at"])

    async def begin(self, hours: int) -> None:
        created_at = self.next_at - timedelta(hours=hours, minutes=30)
        await self.gateway.pool.execute("UPDATE task SET created_at = $2 WHERE id = $1", self.task_id, created_at)

    async def add_run(self, hours_ago: int, status: str, reason: str | None = None, error: object = None) -> None:
        at = self.next_at - timedelta(hours=hours_ago)
        run_id = occurrence_id(self.task_id, 1, at, AT_ITS_TIME)
        await self.gateway.pool.execute(INSERT_RUN, run_id, self.task_id, at, status, reason, error)

    async def add_change(self, hours_ago: float, action: str, details: object) -> None:
        await self.gateway.pool.execute(
            """INSERT INTO audit_log (at, actor_name, action, subject_type, subject_id, details)
               VALUES ($1, 'somebody', $2, 'task', $3, $4)""",
            self.next_at - timedelta(hours=hours_ago),
            action,
            str(self.task_id),
            details,
        )

    async def explained(self, **parameters: str | int) -> dict[str, Any]:
        answer = await self.owner.get(f"/tasks/{self.task_id}/explain", **parameters)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def items(self, **parameters: str | int) -> dict[int, dict[str, Any]]:
        """By how many hours they lie before the next time."""
        told = await self.explained(**parameters)
        hour = timedelta(hours=1)
        return {(self.next_at - datetime.fromisoformat(item["scheduled_for"])) // hour: item for item in told["items"]}


@pytest.fixture
async def past(gateway: Bench, owner: Caller) -> Past:
    return Past(gateway, owner, await owner.create_task())


async def test_each_outcome_is_told_with_its_rule(past: Past) -> None:
    await past.begin(6)
    failure = {"class": "http_5xx", "message": "The receiver answered 503.", "retryable": True}
    await past.add_run(6, "succeeded")
    await past.add_run(5, "dead", error=failure)
    await past.add_run(4, "skipped", "misfire_coalesced")
    await past.add_run(3, "skipped", "misfire_too_old")
    await past.add_run(2, "canceled", "task_paused")
    items = await past.items(limit=10)
    whats = {hours: items[hours]["what"] for hours in range(2, 7)}
    assert whats == {6: "succeeded", 5: "dead", 4: "skipped", 3: "skipped", 2: "canceled"}
    assert "http_5xx: The receiver answered 503" in items[5]["why"]
    assert "misfire_policy latest" in items[4]["why"]
    assert "misfire_window_seconds (3600 s)" in items[3]["why"]
    assert "paused before it ran" in items[2]["why"]
    assert items[6]["run_id"] is not None


async def test_a_time_at_which_the_task_was_paused_says_so(past: Past) -> None:
    await past.begin(6)
    await past.add_change(4.5, "task.paused", {})
    await past.add_change(2.5, "task.resumed", {})
    items = await past.items(limit=10)
    paused = {hours for hours, item in items.items() if "The task was paused since" in item["why"]}
    assert paused == {4, 3}
    assert {items[hours]["what"] for hours in (4, 3)} == {"not_planned"}


async def test_a_time_of_another_schedule_says_so(past: Past) -> None:
    await past.begin(4)
    await past.add_change(2.5, "task.updated", {"changed": {"schedule_expr": {"before": "x", "after": "y"}}})
    await past.add_change(1.5, "task.updated", {"changed": {"title": {"before": "x", "after": "y"}}})
    items = await past.items(limit=10)
    assert {hours for hours, item in items.items() if "another schedule" in item["why"]} == {4, 3}


async def test_bounds_and_blackouts_are_named(past: Past) -> None:
    start = past.next_at + timedelta(hours=2)
    blackout = {"from": (start + timedelta(hours=1)).isoformat(), "until": (start + timedelta(hours=2)).isoformat()}
    changes = {"starts_at": start.isoformat(), "exclusions": [blackout], "ends_at": "2099-01-01T00:00:00Z"}
    await past.owner.put(f"/tasks/{past.task_id}", changes)
    items = await past.items(limit=5)
    assert [items[hours]["what"] for hours in (0, -1, -2, -3, -4)] == [
        *("excluded", "excluded", "planned", "excluded", "planned")
    ]
    assert "starts_at" in items[0]["why"]
    assert "exclusions" in items[-3]["why"]


async def test_what_lies_ahead_waits_is_postponed_skipped_or_planned(past: Past) -> None:
    await past.owner.post(f"/tasks/{past.task_id}/snooze", {"delay_seconds": 60})
    second = past.next_at + timedelta(hours=1)
    await past.owner.post(f"/tasks/{past.task_id}/skip", {"scheduled_for": second.isoformat()})
    items = await past.items(limit=3)
    assert [items[-hours]["what"] for hours in (0, 1, 2)] == ["pending", "skipped", "planned"]
    assert "postponed" in items[0]["why"]
    assert "asked to skip" in items[-1]["why"]


async def test_a_time_beyond_max_runs_says_so(past: Past) -> None:
    await past.owner.put(f"/tasks/{past.task_id}", {"max_runs": 2})
    items = await past.items(limit=3)
    assert [items[-hours]["what"] for hours in (0, 1, 2)] == ["planned", "planned", "not_planned"]
    assert "max_runs" in items[-2]["why"]


async def test_the_task_is_told_in_a_sentence(past: Past) -> None:
    until = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
    await past.owner.post(f"/tasks/{past.task_id}/pause", {"note": "moving house", "until": until.isoformat()})
    told = await past.explained()
    assert told["task"] == f"The task is paused until {until:%Y-%m-%dT%H:%M:%SZ} (moving house)."
    assert {item["what"] for item in told["items"]} == {"not_planned"}


async def test_around_another_time_only_what_lies_there_is_told(past: Past) -> None:
    await past.begin(30)
    at = past.next_at - timedelta(hours=20)
    await past.add_run(19, "succeeded")
    items = await past.items(limit=2, at=at.isoformat())
    assert list(items) == [21, 20, 19, 18]
    assert items[19]["what"] == "succeeded"


async def test_a_missed_time_that_no_scheduler_came_to_says_so(past: Past) -> None:
    await past.begin(3)
    await past.gateway.pool.execute(
        "UPDATE schedule_cursor SET next_at = $2 WHERE task_id = $1", past.task_id, past.next_at - timedelta(hours=2)
    )
    items = await past.items()
    assert [items[hours]["what"] for hours in (3, 2, 1)] == ["not_planned", "planned", "planned"]
    assert "no scheduler has come to it" in items[1]["why"]


async def test_a_run_by_hand_is_told_as_one(past: Past) -> None:
    await past.owner.post(f"/tasks/{past.task_id}/run_now")
    told = await past.explained(limit=1)
    assert "asked for by run_now" in told["items"][0]["why"]


async def test_a_bad_schedule_is_told_with_its_error(past: Past) -> None:
    await past.gateway.pool.execute(
        "UPDATE task SET schedule_expr = 'bad', schedule_error = 'It is bad.' WHERE id = $1", past.task_id
    )
    assert (await past.explained())["task"] == "The schedule cannot be computed: It is bad."


async def test_a_task_that_waits_for_events_can_be_explained(owner: Caller) -> None:
    task = await owner.create_task(schedule_kind="event", schedule_expr="a.b")
    told = (await owner.get(f"/tasks/{task['id']}/explain")).json()
    assert (told["task"], told["items"]) == ("The task is active.", [])


@pytest.mark.parametrize(
    "parameters",
    [{"limit": "0"}, {"limit": "51"}, {"at": "2026-01-01T00:00:00"}, {"at": "x"}, {"at": "0001-01-01T00:00:00Z"}],
)
async def test_a_wrong_question_is_refused(past: Past, parameters: dict[str, str]) -> None:
    answer = await past.owner.get(f"/tasks/{past.task_id}/explain", **parameters)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")
