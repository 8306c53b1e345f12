"""One schedule, its cursor, its due work and its runs, under any order of events, clocks and deaths.

The model below knows nothing of the code: minutes computed by hand, who holds which lease, which outcome was
accepted. The clock is years ahead of the machine's, so that what statements stamp with now() is always in the past.
"""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis.asyncio import Redis

from services.executor.claimer import Claimer
from services.executor.outcome import Failed, Result, Succeeded, decide
from services.executor.recorder import Finished, Recorder
from services.executor.work import Work
from services.scheduler.bell import Ringer
from services.scheduler.materialiser import Materialiser
from services.scheduler.settings import SchedulerSettings
from shared.database.pool import open_pool
from shared.database.statements import load_statements
from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id
from shared.vocabulary.states import FINAL_RUN_STATUSES, ErrorClass, MisfirePolicy, SkipReason
from tests.support.rows import make_task

EXAMPLES = settings(
    max_examples=30, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
GATEWAY = load_statements("services.gateway.tasks", "sql/tasks.sql")
BEGINNING = datetime(2050, 5, 4, 11, 58, 7, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HORIZON = timedelta(seconds=30)
GRACE = timedelta(seconds=10)
WINDOW = timedelta(seconds=3600)
LEASE = timedelta(seconds=30)
NO_FENCE = -1
MINUTES_OF = {
    "* * * * *": range(60),
    "*/5 * * * *": range(0, 60, 5),
    "7,37,58 * * * *": (7, 37, 58),
    "59 * * * *": (59,),
}
RESULTS: Mapping[str, Result] = {
    "success": Succeeded({"n": 1}),
    "failure to try again": Failed(ErrorClass.TIMEOUT, "too slow", is_retryable=True),
    "failure for good": Failed(ErrorClass.HTTP_4XX, "no", is_retryable=False),
}

T = TypeVar("T")
Row = Mapping[str, Any]


def nominal(expr: str, after: datetime, until: datetime) -> list[datetime]:
    """The times of an expression with after < time <= until, by looking at every minute."""
    at = after.replace(second=0, microsecond=0) + MINUTE
    found = []
    while at <= until:
        if at.minute in MINUTES_OF[expr]:
            found.append(at)
        at += MINUTE
    return found


def first_after(expr: str, after: datetime) -> datetime:
    return nominal(expr, after, after + timedelta(hours=1))[0]


class World(NamedTuple):
    """What outlives an example: a loop to run on, and a database."""

    runner: asyncio.Runner
    pool: asyncpg.Pool

    def run(self, act: Awaitable[T]) -> T:
        async def acting() -> T:
            return await act

        return self.runner.run(acting())


class Doomed:
    """Lends one connection, in a transaction that its death takes back."""

    def __init__(self, connection: object) -> None:
        self._connection = connection

    def acquire(self) -> "Doomed":
        return self

    async def __aenter__(self) -> object:
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        return None


class Slots:
    """Nothing is put into them: the machine claims by hand."""

    free = 0

    def take(self, work: Work, claimed_at: float) -> None:
        raise AssertionError(f"nobody asked for work: {work.id} at {claimed_at}")


class Revision:
    """One life of the schedule: from a change to the next. `planned_until`: up to where a scheduler has looked."""

    def __init__(self, number: int, expr: str, begins_at: datetime) -> None:
        self.number = number
        self.expr = expr
        self.begins_at = begins_at
        self.planned_until = begins_at
        self.ends_at: datetime | None = None

    def expected(self) -> list[datetime]:
        """What must not be missing: all that was planned and, of what a change found still ahead, nothing."""
        until = self.planned_until if self.ends_at is None else min(self.planned_until, self.ends_at)
        return nominal(self.expr, self.begins_at, until)


class LifeOfASchedule(RuleBasedStateMachine):
    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.now = BEGINNING
        self.status = "active"
        self.revisions: list[Revision] = []
        self.fates: dict[UUID, bool] = {}
        self.moved: set[UUID] = set()
        self.claimed: list[Work] = []
        self.leases: dict[UUID, tuple[int, datetime]] = {}
        self.released: set[UUID] = set()
        self.outcomes: dict[UUID, tuple[object, ...]] = {}

    @property
    def revision(self) -> Revision:
        return self.revisions[-1]

    @initialize(expr=st.sampled_from(sorted(MINUTES_OF)), policy=st.sampled_from(MisfirePolicy))
    def create(self, expr: str, policy: MisfirePolicy) -> None:
        self.policy = policy
        self.world.run(self._create(expr))
        self.revisions.append(Revision(1, expr, self.now))

    # The clock.

    @rule(seconds=st.sampled_from([1, 9, 23, 31, 55, 120, 700, 8000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.status == "active")
    @rule(result=st.sampled_from(sorted(RESULTS)))
    def an_ordinary_occurrence(self, result: str) -> None:
        """Most of a life: without it few examples come to an outcome."""
        at = first_after(self.revision.expr, self.now)
        self.now = max(self.now, at - timedelta(seconds=20))
        self.materialise()
        self.now = at + timedelta(seconds=2)
        self.an_executor_works_off_what_is_due(result)

    # The schedulers.

    @rule()
    def materialise(self) -> None:
        self._foretell()
        self.world.run(self._materialise(self.world.pool))

    @rule()
    def two_schedulers_materialise(self) -> None:
        self._foretell()
        self.world.run(self._together(*(self._materialise(self.world.pool) for _ in range(2))))
        self.world.run(self._materialise(self.world.pool))

    @rule()
    def a_scheduler_dies_before_it_commits(self) -> None:
        self.world.run(self._die_materialising())

    @precondition(lambda self: self.status == "active")
    @rule(minutes=st.integers(1, 90))
    def the_cursor_is_put_back(self, minutes: int) -> None:
        """As by a restored backup: what exists must not come again."""
        at = first_after(self.revision.expr, max(self.revision.begins_at, self.now - minutes * MINUTE))
        self.world.run(self._execute("UPDATE schedule_cursor SET next_at = least(next_at, $2) WHERE task_id = $1", at))
        self.materialise()

    @precondition(lambda self: self.status == "active")
    @rule(later=st.sampled_from([5, 45, 400]))
    def the_next_occurrence_is_snoozed(self, later: int) -> None:
        """Made due before its time came, for another time; the cursor stays where it is."""
        at = first_after(self.revision.expr, max(self.revision.planned_until, self.now))
        identity = self._identity(self.revision, at)
        if identity not in self.moved:
            self.world.run(self._make_due(identity, at, at + timedelta(seconds=later)))
            self.fates[identity] = True
            self.moved.add(identity)

    # The executors.

    @rule(limit=st.integers(1, 5), executors=st.integers(1, 2))
    def claim(self, limit: int, executors: int) -> None:
        self._claim(limit, executors)

    @rule(result=st.sampled_from(sorted(RESULTS)))
    def an_executor_works_off_what_is_due(self, result: str) -> None:
        for work in self._claim(5, 1):
            self._record(work, result)

    @precondition(lambda self: self.claimed)
    @rule(data=st.data(), result=st.sampled_from(sorted(RESULTS)))
    def record(self, data: st.DataObject, result: str) -> None:
        """By any executor that ever held the work, however late."""
        self._record(data.draw(st.sampled_from(self.claimed)), result)

    def _claim(self, limit: int, executors: int) -> list[Work]:
        claims = [self._claimer(f"executor-{n}").claim(limit, self.now) for n in range(executors)]
        taken = [work for claimed in self.world.run(self._together(*claims)) for work in claimed]
        for work in taken:
            assert work.scheduled_for <= self.now, "claimed before its time"
            fence, leased_until = self.leases.get(work.id, (0, self.now))
            assert leased_until <= self.now, "claimed while another held the lease"
            assert work.fence > fence, "a fence that does not grow fences nobody off"
            assert work.id not in self.outcomes, "claimed after its outcome"
            self.leases[work.id] = work.fence, self.now + LEASE
            self.released.discard(work.id)
            self.claimed.append(work)
        return taken

    def _record(self, work: Work, result: str) -> None:
        is_held = self.leases.get(work.id, (0,))[0] == work.fence and work.id not in self.released
        outcome = decide(RESULTS[result], work)
        refused = self.world.run(self._recorder().record([Finished(work, outcome, None)]))
        assert refused == (0 if is_held else 1), "only the last to claim may record, and only once"
        if is_held:
            # A retry comes back at a time that lies in the past of this clock.
            self.leases[work.id] = (
                (work.fence, self.now) if outcome.retry_in_seconds is not None else (NO_FENCE, self.now)
            )
            self.released.add(work.id)

    # The gateway.

    @precondition(lambda self: self.status in ("active", "paused"))
    @rule(expr=st.sampled_from(sorted(MINUTES_OF)))
    def edit(self, expr: str) -> None:
        next_at = first_after(expr, self.now) if self.status == "active" else None
        self.world.run(self._change(SkipReason.SCHEDULE_CHANGED, next_at, is_schedule_only=True, expr=expr))
        self._begin_revision(expr)

    @precondition(lambda self: self.status == "active")
    @rule()
    def pause(self) -> None:
        self._stop("paused", SkipReason.TASK_PAUSED)

    @precondition(lambda self: self.status in ("active", "paused"))
    @rule(sure=st.integers(0, 9))
    def cancel(self, sure: int) -> None:
        """Seldom: it is the end."""
        if sure == 9:
            self._stop("canceled", SkipReason.TASK_CANCELED)

    @precondition(lambda self: self.status == "paused")
    @rule()
    def resume(self) -> None:
        expr = self.revision.expr
        self.world.run(self._change(None, first_after(expr, self.now), status="active"))
        self.status = "active"
        self._begin_revision(expr)

    # What must hold after each of them.

    @invariant()
    def every_occurrence_has_its_place_and_at_most_one_outcome(self) -> None:
        if self.revisions:
            waiting, runs, cursor = self.world.run(self._look())
            self._check_outcomes_stay(runs)
            self._check_places(waiting, runs)
            self._check_nothing_is_missing(waiting, runs)
            self._check_order(waiting, cursor)

    def _check_outcomes_stay(self, runs: Mapping[UUID, Row]) -> None:
        final: dict[UUID, tuple[object, ...]] = {
            key: (row["status"], row["finished_at"], row["success"], row["skip_reason"], row["attempt"])
            for key, row in runs.items()
            if row["status"] in FINAL_RUN_STATUSES
        }
        for key, before in self.outcomes.items():
            assert final.get(key) == before, "an outcome was changed or taken back"
        self.outcomes = final

    def _check_places(self, waiting: Mapping[UUID, Row], runs: Mapping[UUID, Row]) -> None:
        assert not self.outcomes.keys() & waiting.keys(), "finished, and waiting to be executed"
        for key, row in runs.items():
            is_final = key in self.outcomes
            assert is_final == (row["finished_at"] is not None)
            assert is_final or key in waiting, "a run that nobody will finish"
            needs_reason = row["status"] in ("skipped", "canceled")
            assert needs_reason == (row["skip_reason"] is not None), "a skipped occurrence has a reason, others none"

    def _check_nothing_is_missing(self, waiting: Mapping[UUID, Row], runs: Mapping[UUID, Row]) -> None:
        known: dict[UUID, datetime] = {}
        for revision in self.revisions:
            known |= {self._identity(revision, at): at for at in revision.expected()}
        missing = [at for key, at in known.items() if key not in waiting and key not in runs]
        assert not missing, "silently missing"
        found = {key: row["scheduled_for"] for key, row in [*waiting.items(), *runs.items()]}
        ahead = {key for key in self.moved if key not in known}
        assert {key: at for key, at in found.items() if key not in ahead} == known, "not what the schedule says"
        skipped = {key for key, row in runs.items() if row["status"] == "skipped"}
        assert skipped == {key for key in known if not self.fates[key]}, "not what the misfire policy says"

    def _check_order(self, waiting: Mapping[UUID, Row], cursor: Row | None) -> None:
        assert (cursor is not None) == (self.status == "active"), "a cursor, for what is active and nothing else"
        live = {row["schedule_rev"] for row in waiting.values() if not row["is_begun"] and not row["is_leased"]}
        assert live <= {self.revision.number}, "work of a revision that a change has withdrawn"
        if cursor is not None:
            assert cursor["schedule_rev"] == self.revision.number
            assert cursor["next_at"] <= first_after(self.revision.expr, self.revision.planned_until), "passed over"

    # The model.

    def _foretell(self) -> None:
        """Who runs and who is skipped of what a scheduler is about to see for the first time."""
        until = self.now + HORIZON
        if self.status != "active" or until <= self.revision.planned_until:
            return
        (cursor,) = self.world.run(self._fetch("SELECT next_at FROM schedule_cursor WHERE task_id = $1"))
        times = nominal(self.revision.expr, cursor["next_at"] - MINUTE, until)
        missed = [at for at in times if at < self.now - GRACE]
        allowed = {MisfirePolicy.LATEST: 1, MisfirePolicy.ALL: 100, MisfirePolicy.SKIP: 0}[self.policy]
        runs = set(missed[-allowed:] if allowed else []) | {at for at in times if at >= self.now - GRACE}
        for at in times:
            self.fates.setdefault(self._identity(self.revision, at), at in runs and at >= self.now - WINDOW)
        self.revision.planned_until = until

    def _stop(self, status: str, reason: SkipReason) -> None:
        self.world.run(self._change(reason, None, status=status))
        self.status = status
        # What has begun goes on: also what waits for a retry, or lies there after its executor's death.
        self._begin_revision(self.revision.expr)

    def _begin_revision(self, expr: str) -> None:
        """What was snoozed and had not come due is withdrawn with the rest."""
        self.revision.ends_at = self.now
        self.revisions.append(Revision(self.revision.number + 1, expr, self.now))

    def _identity(self, revision: Revision, at: datetime) -> UUID:
        return occurrence_id(self.task_id, revision.number, at, AT_ITS_TIME)

    # The database.

    async def _create(self, expr: str) -> None:
        """Of the example before only what is claimed by whoever asks must go."""
        await self.world.pool.execute("DELETE FROM due_work")
        await self.world.pool.execute("DELETE FROM schedule_cursor")
        self.task_id = await make_task(
            self.world.pool,
            first_after(expr, self.now),
            schedule=("cron", expr),
            misfire_policy=self.policy,
            max_retries=2,
        )

    async def _materialise(self, pool: asyncpg.Pool) -> None:
        ringer = Ringer(Redis())
        materialiser = Materialiser(pool, ringer, SchedulerSettings(database_url="", redis_url=""))
        while (await materialiser.run_once(self.now)).is_backlog_left:
            pass

    async def _die_materialising(self) -> None:
        async with self.world.pool.acquire() as connection:
            dying = connection.transaction()
            await dying.start()
            # The one method of a pool that a materialiser uses.
            await self._materialise(cast("asyncpg.Pool", Doomed(connection)))
            await dying.rollback()

    async def _make_due(self, identity: UUID, at: datetime, run_at: datetime) -> None:
        await self._execute(
            "INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source) "
            "SELECT $2, id, agent_id, schedule_rev, $3, $4, priority, 'schedule' FROM task WHERE id = $1 "
            "ON CONFLICT (id) DO UPDATE SET run_at = excluded.run_at WHERE due_work.started_at IS NULL",
            identity,
            at,
            run_at,
        )

    async def _change(
        self,
        reason: SkipReason | None,
        next_at: datetime | None,
        *,
        is_schedule_only: bool = False,
        expr: str | None = None,
        status: str | None = None,
    ) -> None:
        """The statements of the gateway, in its order, in one transaction."""
        async with self.world.pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT FROM task WHERE id = $1 FOR NO KEY UPDATE", self.task_id)
            await connection.execute("SELECT FROM schedule_cursor WHERE task_id = $1 FOR UPDATE", self.task_id)
            if reason is not None:
                await connection.execute(GATEWAY["withdraw_work"].sql, self.task_id, is_schedule_only, reason, self.now)
            rev = self.revision.number + 1
            if next_at is not None:
                await connection.execute(GATEWAY["put_cursor"].sql, self.task_id, rev, next_at, 0)
            else:
                await connection.execute(GATEWAY["drop_cursor"].sql, self.task_id)
            await connection.execute(
                "UPDATE task SET schedule_rev = $2, schedule_expr = coalesce($3, schedule_expr), "
                "status = coalesce($4, status) WHERE id = $1",
                *(self.task_id, rev, expr, status),
            )

    async def _look(self) -> tuple[dict[UUID, Row], dict[UUID, Row], Row | None]:
        work = await self._fetch(
            "SELECT id, scheduled_for, schedule_rev, started_at IS NOT NULL AS is_begun, "
            "locked_until IS NOT NULL AS is_leased "
            "FROM due_work WHERE task_id = $1"
        )
        runs = await self._fetch(
            "SELECT id, scheduled_for, status, success, attempt, skip_reason, finished_at "
            "FROM task_run WHERE task_id = $1"
        )
        cursors = await self._fetch("SELECT schedule_rev, next_at FROM schedule_cursor WHERE task_id = $1")
        return _by_id(work), _by_id(runs), cursors[0] if cursors else None

    async def _execute(self, sql: str, *values: object) -> None:
        await self.world.pool.execute(sql, self.task_id, *values)

    async def _fetch(self, sql: str) -> Sequence[Row]:
        return [dict(row) for row in await self.world.pool.fetch(sql, self.task_id)]

    async def _together(self, *acts: Awaitable[T]) -> list[T]:
        return list(await asyncio.gather(*acts))

    def _claimer(self, instance: str) -> Claimer:
        return Claimer(self.world.pool, Slots(), instance=instance, lease_seconds=LEASE.total_seconds(), batch=5)

    def _recorder(self) -> Recorder:
        return Recorder(self.world.pool, lambda _recorded: None)


def _by_id(rows: Sequence[Row]) -> dict[UUID, Row]:
    found = {row["id"]: row for row in rows}
    assert len(found) == len(rows), "one id, twice"
    return found


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    with asyncio.Runner() as runner:
        pool = runner.run(open_pool(database_url, application_name="test", size=4))
        yield World(runner, pool)
        runner.run(pool.close())


def test_any_life_of_a_schedule_keeps_its_promises(world: World) -> None:
    class Life(LifeOfASchedule):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(Life, settings=EXAMPLES)


def test_what_is_finished_does_not_come_again_when_the_cursor_is_put_back(world: World) -> None:
    life = _begun(world, MisfirePolicy.ALL)
    life.an_ordinary_occurrence("success")
    life.the_cursor_is_put_back(3)
    life.every_occurrence_has_its_place_and_at_most_one_outcome()


def test_what_is_leased_stays_leased_when_the_cursor_is_put_back(world: World) -> None:
    life = _begun(world, MisfirePolicy.ALL)
    life.materialise()
    life.time_passes(55)
    life.claim(5, 1)
    life.the_cursor_is_put_back(3)
    life.every_occurrence_has_its_place_and_at_most_one_outcome()
    life.claim(5, 1)


def test_what_was_snoozed_is_not_missed_in_an_outage(world: World) -> None:
    life = _begun(world, MisfirePolicy.SKIP)
    life.the_next_occurrence_is_snoozed(400)
    life.time_passes(120)
    life.materialise()
    life.every_occurrence_has_its_place_and_at_most_one_outcome()


def test_what_was_skipped_or_finished_stays_so(world: World) -> None:
    life = _begun(world, MisfirePolicy.SKIP)
    life.an_ordinary_occurrence("success")
    life.time_passes(700)
    life.materialise()
    life.every_occurrence_has_its_place_and_at_most_one_outcome()
    life.the_cursor_is_put_back(90)
    life.every_occurrence_has_its_place_and_at_most_one_outcome()


def _begun(world: World, policy: MisfirePolicy) -> LifeOfASchedule:
    life = LifeOfASchedule(world)
    life.create("* * * * *", policy)
    life.time_passes(31)
    return life
