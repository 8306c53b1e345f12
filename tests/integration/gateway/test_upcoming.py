from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from redis.asyncio import Redis

from services.gateway.settings import GatewaySettings
from services.scheduler.bell import Ringer
from services.scheduler.materialiser import Materialiser
from services.scheduler.settings import SchedulerSettings
from tests.integration.gateway.bench import Bench, Caller


async def _upcoming(owner: Caller, task: dict[str, Any], limit: int = 10) -> list[dict[str, Any]]:
    answer = await owner.get(f"/tasks/{task['id']}/upcoming", limit=limit)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.fixture
async def materialiser(settings: GatewaySettings, pool: asyncpg.Pool, redis: Redis) -> Materialiser:
    """A real scheduler's, that looks a day ahead, beside a gateway of the test's own."""
    ahead = SchedulerSettings(database_url=settings.database_url, redis_url=settings.redis_url, horizon_seconds=86_400)
    return Materialiser(pool, Ringer(redis), ahead)


@pytest.mark.parametrize(
    "schedule",
    [
        {"schedule_expr": "*/30 * * * *", "jitter_seconds": 600},
        {"schedule_expr": "0 * * * *", "max_runs": 3, "jitter_seconds": 86_400},
        {"schedule_expr": "0 */2 * * *", "timezone": "Asia/Kathmandu", "starts_at": "2026-01-01T00:00:00Z"},
        {"schedule_kind": "rrule", "schedule_expr": "FREQ=HOURLY;INTERVAL=3;COUNT=5", "jitter_seconds": 30},
    ],
)
async def test_what_is_shown_is_what_the_scheduler_makes(
    own_gateway: Bench, materialiser: Materialiser, schedule: dict[str, Any]
) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task(**schedule)
    shown = await _upcoming(owner, task, 100)
    await materialiser.run_once()
    made = await own_gateway.pool.fetch("SELECT * FROM due_work ORDER BY scheduled_for")
    assert made
    assert [(UUID(item["run_id"]), datetime.fromisoformat(item["run_at"])) for item in shown[: len(made)]] == [
        (row["id"], row["run_at"]) for row in made
    ]
    afterwards = await _upcoming(owner, task, 100)
    assert [{**item, "status": "planned"} for item in afterwards] == shown
    assert [item["status"] for item in afterwards] == ["pending"] * len(made) + ["planned"] * (len(shown) - len(made))


async def test_no_more_is_shown_than_max_runs_allows(owner: Caller) -> None:
    assert len(await _upcoming(owner, await owner.create_task(max_runs=3))) == 3


async def test_a_snoozed_occurrence_shows_when_it_runs_and_a_skipped_one_that_it_does_not(owner: Caller) -> None:
    task = await owner.create_task(timezone="Asia/Tokyo")
    before = await _upcoming(owner, task, 3)
    await owner.post(f"/tasks/{task['id']}/snooze", {"delay_seconds": 90})
    await owner.post(f"/tasks/{task['id']}/skip", {"scheduled_for": before[1]["scheduled_for"]})
    first, second, third = await _upcoming(owner, task, 3)
    moved = datetime.fromisoformat(first["run_at"]) - datetime.fromisoformat(first["scheduled_for"])
    assert (first["status"], first["run_id"], moved) == ("pending", before[0]["run_id"], timedelta(seconds=90))
    assert second == {**before[1], "status": "skipped"}
    assert third == before[2]
    assert first["local"].endswith("+09:00")


async def test_a_blackout_and_the_end_of_a_task_leave_occurrences_out(owner: Caller) -> None:
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    task = await owner.create_task(
        schedule_expr="0 0 * * *",
        exclusions=[day.isoformat()],
        ends_at=f"{day + timedelta(days=2)}T00:00:00Z",
    )
    shown = [item["scheduled_for"][:10] for item in await _upcoming(owner, task)]
    assert shown == [str(day + timedelta(days=days)) for days in (-1, 1, 2)]


async def test_a_task_that_is_not_active_or_waits_for_events_has_nothing_ahead(owner: Caller) -> None:
    paused = await owner.create_task()
    await owner.post(f"/tasks/{paused['id']}/skip", {"scheduled_for": paused["next_run_at"]})
    await owner.post(f"/tasks/{paused['id']}/pause")
    assert await _upcoming(owner, paused) == []
    assert await _upcoming(owner, await owner.create_task(schedule_kind="event", schedule_expr="a.b")) == []


async def test_a_schedule_made_bad_by_hand_has_nothing_ahead(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await gateway.pool.execute("UPDATE task SET schedule_expr = 'bad' WHERE id = $1", UUID(task["id"]))
    assert await _upcoming(owner, task) == []


@pytest.mark.parametrize("limit", ["0", "101", "x", "-1", "1e3"])
async def test_a_wrong_limit_is_refused(owner: Caller, limit: str) -> None:
    task = await owner.create_task()
    answer = await owner.get(f"/tasks/{task['id']}/upcoming", limit=limit)
    assert (answer.status_code, answer.json()["error_code"]) == (400, "invalid_query")
