"""What the runs of a period came to, counted by a scheduler or not yet."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.gateway.statistics.histogram import middle_us
from services.scheduler.tallier import Tallier
from shared.vocabulary.ids import uuid7
from tests.integration.gateway.bench import Bench, Caller
from tests.support.runs import finish_run, lease_run

HOUR = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)


async def finished(
    gateway: Bench,
    task: dict[str, Any],
    at: datetime = HOUR,
    status: str = "succeeded",
    *,
    late_ms: float | None = 0,
    took_ms: float = 1000,
) -> str:
    """`late_ms` None: it never began."""
    run_id = uuid7(at)
    started_at = None if late_ms is None else at + timedelta(milliseconds=late_ms)
    await gateway.pool.execute(
        "INSERT INTO task_run (id, task_id, agent_id, scheduled_for, status, source, started_at, finished_at) "
        "VALUES ($1, $2, $3, $4, $5, 'schedule', $6, $7)",
        run_id,
        UUID(task["id"]),
        UUID(task["created_by"]),
        at,
        status,
        started_at,
        (started_at or at) + timedelta(milliseconds=took_ms if started_at else 0),
    )
    return str(run_id)


async def stats(caller: Caller, task: dict[str, Any], **asked: str | int) -> dict[str, Any]:
    answer = await caller.get(f"/runs/task/{task['id']}/stats", **asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def summary(caller: Caller, **asked: str | int) -> dict[str, Any]:
    answer = await caller.get("/runs/stats/summary", **asked)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def fold(pool: asyncpg.Pool) -> None:
    while (await Tallier(pool).run_once()).pause_seconds == 0:
        pass


async def test_every_kind_of_outcome_is_told(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    for status, runs in {"succeeded": 3, "failed": 1, "dead": 1}.items():
        for _ in range(runs):
            await finished(gateway, task, status=status)
    for status in ("canceled", "skipped", "expired"):
        await finished(gateway, task, status=status, late_ms=None)
    told = await stats(owner, task, days=1)
    names = ("total", "successful", "failed", "dead", "canceled", "skipped", "expired")
    assert [told[name] for name in names] == [8, 3, 2, 1, 1, 1, 1]
    assert (told["success_rate"], told["failure_rate"]) == (0.6, 0.4)
    assert told["execution"]["average_ms"] == 1000


async def test_what_is_counted_and_what_is_not_yet_make_one_answer(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await finished(gateway, task, took_ms=100, late_ms=5)
    await finished(gateway, task, status="dead", took_ms=200)
    before = await stats(owner, task)
    await fold(gateway.pool)
    assert await stats(owner, task) == before
    last = await finished(gateway, task, at=HOUR + timedelta(minutes=1))
    after = await stats(owner, task)
    assert (after["total"], after["successful"], after["last_run_id"]) == (3, 2, last)


async def test_percentiles_and_averages_are_those_of_the_runs(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    took = [1.5**number for number in range(20)]
    for ms in took[:10]:
        await finished(gateway, task, took_ms=ms, late_ms=2 * ms)
    await fold(gateway.pool)
    for ms in took[10:]:
        await finished(gateway, task, took_ms=ms, late_ms=2 * ms)
    told = await stats(owner, task)
    for measured, factor in (("execution", 1), ("lateness", 2)):
        assert told[measured]["average_ms"] == pytest.approx(factor * sum(took) / 20, rel=0.001)
        for name, rank in (("p50_ms", 10), ("p95_ms", 19), ("p99_ms", 20)):
            assert told[measured][name] == pytest.approx(factor * took[rank - 1], rel=0.05)


async def test_a_run_that_began_before_its_time_is_not_late(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await finished(gateway, task, late_ms=-500)
    assert (await stats(owner, task))["lateness"] == {"average_ms": 0, "p50_ms": 0, "p95_ms": 0, "p99_ms": 0}


async def test_a_task_without_runs_has_no_rates_and_no_durations(owner: Caller) -> None:
    told = await stats(owner, await owner.create_task())
    nothing = {"average_ms": None, "p50_ms": None, "p95_ms": None, "p99_ms": None}
    assert (told["total"], told["success_rate"], told["failure_rate"], told["runs_per_day"]) == (0, None, None, 0)
    assert (told["execution"], told["lateness"]) == (nothing, nothing)
    assert {told[f"last_{kind}_{what}"] for kind in ("run", "success", "failure") for what in ("at", "id")} == {None}


async def test_the_period_is_widened_to_whole_hours(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    for minutes in (-1, 0, 59, 60):
        await finished(gateway, task, at=HOUR + timedelta(minutes=minutes), took_ms=1)
    middle = (HOUR + timedelta(minutes=20)).isoformat().replace("+00:00", "Z")
    end = (HOUR + timedelta(minutes=40)).isoformat().replace("+00:00", "Z")
    for _ in range(2):
        told = await stats(owner, task, start_time=middle, end_time=end)
        assert (told["total"], told["runs_per_day"]) == (2, 48)
        hours = (HOUR, HOUR + timedelta(hours=1))
        assert [told["start_time"], told["end_time"]] == [f"{hour:%Y-%m-%dT%H:%M:%SZ}" for hour in hours]
        await fold(gateway.pool)


async def test_whole_days_and_hours_at_the_edges_are_counted_once(gateway: Bench, owner: Caller) -> None:
    """From before a day that is rolled up to after one that is not."""
    task = await owner.create_task()
    start = HOUR - timedelta(days=4)
    for number in range(96):
        await finished(gateway, task, at=start + timedelta(hours=number), took_ms=1)
    await fold(gateway.pool)
    for first, last in ((0, 96), (1, 95), (5, 40), (30, 31), (20, 50)):
        asked = {
            "start_time": (start + timedelta(hours=first)).isoformat().replace("+00:00", "Z"),
            "end_time": (start + timedelta(hours=last)).isoformat().replace("+00:00", "Z"),
        }
        assert (await stats(owner, task, **asked))["total"] == last - first


async def test_a_real_end_is_told_at_once(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    run_id = UUID((await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"])
    await lease_run(gateway.pool, run_id)
    assert (await stats(owner, task))["total"] == 0
    await finish_run(gateway.pool, run_id)
    told = await stats(owner, task)
    assert (told["total"], told["last_run_id"], told["last_success_id"]) == (1, str(run_id), str(run_id))


async def test_what_is_canceled_over_http_is_counted(owner: Caller) -> None:
    task = await owner.create_task()
    run_id = (await owner.post(f"/tasks/{task['id']}/run_now")).json()["details"]["run_id"]
    assert (await owner.post(f"/runs/{run_id}/cancel")).status_code == 200
    assert (await stats(owner, task))["canceled"] == 1


async def test_a_canceled_task_keeps_its_statistics(gateway: Bench, owner: Caller) -> None:
    task = await owner.create_task()
    await finished(gateway, task)
    await owner.post(f"/tasks/{task['id']}/cancel")
    assert (await stats(owner, task))["successful"] == 1


async def test_a_summary_is_of_ones_own_runs(gateway: Bench, owner: Caller, admin: Caller) -> None:
    other = await gateway.caller()
    mine, another, foreign = await owner.create_task(), await owner.create_task(), await other.create_task()
    for task in (mine, mine, another, foreign):
        await finished(gateway, task)
    await fold(gateway.pool)
    await finished(gateway, mine)
    told = await summary(owner)
    assert (told["total"], told["tasks_executed"], told["created_by"]) == (4, 2, str(owner.agent_id))
    of_all = await summary(admin)
    assert of_all["created_by"] is None
    assert of_all["total"] >= 5
    assert of_all["tasks_executed"] >= 3
    assert await summary(admin, created_by=str(owner.agent_id)) == told
    assert await summary(owner, created_by=str(owner.agent_id)) == told


async def test_tasks_executed_are_those_of_the_period(gateway: Bench, owner: Caller) -> None:
    early, late, both, never = [await owner.create_task() for _ in range(4)]
    for task, hours in ((early, (0,)), (late, (1,)), (both, (0, 1))):
        for hour in hours:
            await finished(gateway, task, at=HOUR + timedelta(hours=hour), took_ms=1)
    await finished(gateway, never, status="skipped", late_ms=None)
    for _ in range(2):
        asked = {
            "start_time": f"{HOUR:%Y-%m-%dT%H:%M:%SZ}",
            "end_time": f"{HOUR + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        }
        assert (await summary(owner, **asked))["tasks_executed"] == 2
        assert (await summary(owner))["tasks_executed"] == 3
        await fold(gateway.pool)


async def test_another_agents_task_is_one_that_is_not_there(gateway: Bench, owner: Caller) -> None:
    task = await (await gateway.caller()).create_task()
    for task_id in (task["id"], str(uuid4())):
        answer = await owner.get(f"/runs/task/{task_id}/stats")
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such task.")


async def test_another_agent_is_one_that_is_not_there(owner: Caller, admin: Caller) -> None:
    for caller, agent_id in ((owner, admin.agent_id), (owner, uuid4()), (admin, uuid4())):
        assert (await caller.get("/runs/stats/summary", created_by=str(agent_id))).status_code == 404


@pytest.mark.parametrize(
    "asked",
    [
        {"days": 0},
        {"days": 367},
        {"days": 7, "end_time": "2026-01-01T00:00:00Z"},
        {"start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"},
        {"start_time": "2024-01-01T00:00:00Z", "end_time": "2026-01-01T00:00:00Z"},
        {"start_time": "2026-01-01T00:00:00"},
        {"start_time": "9999-12-31T23:59:59Z"},
        {"end_time": "0001-01-01T00:00:00Z"},
    ],
    ids=str,
)
async def test_a_period_that_makes_no_sense_is_refused(owner: Caller, asked: dict[str, str | int]) -> None:
    assert (await owner.get("/runs/stats/summary", **asked)).status_code == 400


async def test_postgres_and_the_gateway_mean_the_same_buckets(gateway: Bench) -> None:
    durations = [0, 1, 2, 3, 10, 999, 1_000_000, 31_622_400_000_000]
    rows = await gateway.pool.fetch(
        "SELECT us, duration_bucket(us) AS bucket FROM unnest($1::bigint[]) AS us", durations
    )
    for us, bucket in rows:
        assert math.isclose(middle_us(bucket), us, rel_tol=0.05)
