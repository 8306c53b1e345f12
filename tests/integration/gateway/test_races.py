"""Many who change one task at once, beside a scheduler and an executor, leave it as if they had come one by one."""

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from services.executor.claimer import Claimer
from services.executor.work import Work
from services.gateway.settings import GatewaySettings
from services.scheduler.bell import Ringer
from services.scheduler.materialiser import Materialiser
from services.scheduler.settings import SchedulerSettings
from tests.integration.gateway.bench import Bench, Caller, task_body
from tests.support.waiting import wait_until

MUTATORS = 50
ROUNDS_MIN, ROUNDS_MAX = 3, 20
CLAIMS_WANTED = 3
ACTS = ("pause", "resume", "resume", "run_now", "title", "schedule", "snooze", "skip", "materialise", "claim", "claim")
ACCEPTABLE = {"skip": {200, 409, 422}}
UNVERSIONED = {"task.run_now", "task.snoozed", "task.occurrence_skipped"}
OCCURRENCES = """SELECT id, scheduled_for FROM due_work WHERE task_id = $1 AND source = 'schedule'
                 UNION SELECT id, scheduled_for FROM task_run WHERE task_id = $1 AND source = 'schedule'"""

DUE = "SELECT count(*) FROM due_work WHERE task_id = $1 AND source = 'schedule' AND available_at <= now()"


class NoSlots:
    """For a claimer whose claims are only looked at."""

    free = 0

    def take(self, work: Work, claimed_at: float) -> None:
        raise NotImplementedError


class Crowd:
    """`leased`: each claimed row as it was right after its claim. `answers`: act and status of each request."""

    def __init__(self, gateway: Bench, caller: Caller, task_id: UUID, materialiser: Materialiser) -> None:
        self.gateway, self.caller, self.task_id = gateway, caller, task_id
        self.materialiser = materialiser
        self.claimer = Claimer(gateway.pool, NoSlots(), instance="e", lease_seconds=600, batch=1)
        self.leased: dict[UUID, Mapping[str, Any]] = {}
        self.answers: list[tuple[str, int]] = []

    async def round(self) -> None:
        """Begins when something of the schedule is due, so that there is something to race for."""
        await self.act("resume")
        await self.materialiser.run_once()
        await wait_until(lambda: self.gateway.pool.fetchval(DUE, self.task_id))
        acts = [ACTS[number % len(ACTS)] for number in range(MUTATORS)]
        random.shuffle(acts)
        await asyncio.gather(*(self.act(act) for act in acts))

    async def act(self, act: str) -> None:
        match act:
            case "materialise":
                await self.materialiser.run_once()
            case "claim":
                await self._claim()
            case _:
                self.answers.append((act, await self._ask(act)))

    async def _ask(self, act: str) -> int:
        path = f"/tasks/{self.task_id}"
        match act:
            case "title":
                answer = await self.caller.put(path, {"title": uuid4().hex})
            case "schedule":
                expression = random.choice(["* * * * * *", "*/2 * * * * *", "0-58 * * * * *"])  # noqa: S311
                answer = await self.caller.put(path, {"schedule_expr": expression})
            case "snooze":
                answer = await self.caller.post(f"{path}/snooze", {"delay_seconds": 2})
            case "skip":
                soon = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=random.randint(1, 9))  # noqa: S311
                answer = await self.caller.post(f"{path}/skip", {"scheduled_for": soon.isoformat()})
            case _:
                answer = await self.caller.post(f"{path}/{act}")
        return answer.status_code

    async def _claim(self) -> None:
        for work in await self.claimer.claim(1):
            row = await self.gateway.row("SELECT * FROM due_work WHERE id = $1", work.id)
            assert (row["fence"], row["locked_by"], row["locked_until"] is not None) == (work.fence, "e", True)
            self.leased[work.id] = dict(row)


@pytest.fixture
async def crowd(own_gateway: Bench, settings: GatewaySettings, pool: asyncpg.Pool, redis: Redis) -> Crowd:
    ahead = SchedulerSettings(database_url=settings.database_url, redis_url=settings.redis_url, horizon_seconds=10)
    materialiser = Materialiser(pool, Ringer(redis), ahead)
    caller = await own_gateway.admin()
    task = await caller.create_task(schedule_expr="* * * * * *", misfire_policy="all", overlap_policy="allow_all")
    return Crowd(own_gateway, caller, UUID(task["id"]), materialiser)


async def test_fifty_mutators_beside_a_scheduler_and_an_executor_leave_a_consistent_task(crowd: Crowd) -> None:
    for number in range(ROUNDS_MAX):
        await crowd.round()
        scheduled = [row for row in crowd.leased.values() if row["source"] == "schedule"]
        if number + 1 >= ROUNDS_MIN and len(scheduled) >= CLAIMS_WANTED:
            break
    else:
        raise AssertionError("the executor never claimed enough of what the schedule made")
    wrong = [(act, status) for act, status in crowd.answers if status not in ACCEPTABLE.get(act, {200, 409})]
    assert wrong == []
    await _check_occurrences(crowd)
    await _check_trail(crowd)
    await _check_pause_and_resume(crowd)


async def _check_occurrences(crowd: Crowd) -> None:
    """Each nominal time has one identity; what an executor holds is as it was when it took it."""
    pool = crowd.gateway.pool
    occurrences = await pool.fetch(OCCURRENCES, crowd.task_id)
    times = [row["scheduled_for"] for row in occurrences]
    assert len(set(times)) == len(times)
    for work_id, row in crowd.leased.items():
        assert dict(await crowd.gateway.row("SELECT * FROM due_work WHERE id = $1", work_id)) == row
        run = await crowd.gateway.row("SELECT * FROM task_run WHERE id = $1", work_id)
        assert (run["status"], run["skip_reason"]) == ("running", None)
    settled = "SELECT count(*) FROM due_work w JOIN task_run r USING (id) WHERE r.finished_at IS NOT NULL"
    assert await pool.fetchval(settled) == 0


async def _check_trail(crowd: Crowd) -> None:
    """One entry for each accepted change, and a version for each of those that change the task."""
    pool = crowd.gateway.pool
    entries = await pool.fetch("SELECT action FROM audit_log WHERE subject_id = $1", str(crowd.task_id))
    actions = [entry["action"] for entry in entries]
    task = await crowd.gateway.row("SELECT * FROM task WHERE id = $1", crowd.task_id)
    assert task["version"] == sum(action not in UNVERSIONED for action in actions)
    for act, action in (("run_now", "task.run_now"), ("snooze", "task.snoozed"), ("resume", "task.resumed")):
        assert crowd.answers.count((act, 200)) == actions.count(action)
    assert crowd.answers.count(("skip", 200)) >= actions.count("task.occurrence_skipped") > 0


async def _check_pause_and_resume(crowd: Crowd) -> None:
    """A pause leaves nothing but what is held; a resumed task begins a revision of its own, from now on."""
    pool = crowd.gateway.pool
    await crowd.caller.post(f"/tasks/{crowd.task_id}/pause")
    left = await pool.fetch("SELECT id FROM due_work WHERE task_id = $1", crowd.task_id)
    ghosts = await pool.fetch(
        """SELECT FROM task_run r WHERE r.task_id = $1 AND r.finished_at IS NULL
            AND NOT EXISTS (SELECT FROM due_work w WHERE w.id = r.id)""",
        crowd.task_id,
    )
    assert ({row["id"] for row in left}, len(ghosts)) == (set(crowd.leased), 0)
    assert await pool.fetchval("SELECT count(*) FROM schedule_cursor WHERE task_id = $1", crowd.task_id) == 0
    assert (await crowd.caller.post(f"/tasks/{crowd.task_id}/resume")).status_code == 200
    task = await crowd.gateway.row("SELECT * FROM task WHERE id = $1", crowd.task_id)
    cursor = await crowd.gateway.row("SELECT * FROM schedule_cursor WHERE task_id = $1", crowd.task_id)
    assert cursor["schedule_rev"] == task["schedule_rev"]
    assert cursor["next_at"] > datetime.now(UTC) - timedelta(seconds=5)


async def test_of_many_changes_of_one_version_one_is_made(owner: Caller) -> None:
    task = await owner.create_task()
    answers = await asyncio.gather(
        *(
            owner.put(f"/tasks/{task['id']}", {"title": f"number {number}"}, headers={"If-Match": '"1"'})
            for number in range(20)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 19
    assert (await owner.show_task(task["id"]))["version"] == 2


async def test_of_many_tasks_with_one_dedupe_key_one_is_created(owner: Caller) -> None:
    answers = await asyncio.gather(*(owner.post("/tasks", task_body(dedupe_key="one")) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
