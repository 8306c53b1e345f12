"""How fast does a scheduler turn schedules into due work, and what does it cost to look when none is due?

1,000,000 active tasks, of which 100,000 are due in the same minute: cron in five forms and, one in ten, a recurrence,
in eight zones, each made at another time. Every run takes the next minute's 100,000.
"""

import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg

from tests.bench.harness.processes import working
from tests.bench.harness.question import Answer, Bench, Goal, Measurement
from tests.bench.harness.scheduler import Job, Worked
from tests.bench.harness.tasks import add_agents, add_tasks, minute

SIZES, QUICK_SIZES = (10_000, 100_000, 1_000_000), (10_000, 100_000)
# One task in ten is due in each of these minutes.
GROUPS = 10
RUNS_ALONE = 5
RUNS_TOGETHER = 3
SCHEDULERS_TOGETHER = 3
TICKS = 200
TICK_RUNS = 3
FIRST_MINUTE = datetime(2026, 5, 4, 12, tzinfo=UTC)
AHEAD = timedelta(seconds=20)

Runs = dict[str, list[float]]


async def measure(bench: Bench) -> Answer:
    sizes = QUICK_SIZES if bench.is_quick else SIZES
    async with bench.stores.fresh_database() as url, _connected(url) as connection:
        materialise = Materialise(bench, url, connection)
        await add_agents(connection)
        have = 0
        for size in sizes:
            await add_tasks(
                connection,
                have,
                size,
                first_minute=FIRST_MINUTE,
                minutes=RUNS_ALONE + RUNS_TOGETHER,
                groups=GROUPS,
            )
            have = size
            await materialise.look_when_nothing_is_due(size)
        for run in range(RUNS_ALONE):
            await materialise.alone(run, sizes[-1] // GROUPS)
        for run in range(RUNS_ALONE, RUNS_ALONE + RUNS_TOGETHER):
            await materialise.together(run, sizes[-1] // GROUPS)
    return _figures(materialise.runs, sizes, longest=", ".join(sorted(set(materialise.longest))))


class Materialise:
    """The runs, one after the other, over one database."""

    def __init__(self, bench: Bench, url: str, connection: asyncpg.Connection) -> None:
        self.runs: Runs = {}
        self.longest: list[str] = []
        self._bench = bench
        self._url = url
        self._connection = connection

    async def look_when_nothing_is_due(self, tasks: int) -> None:
        """After the load is written and vacuumed: what it leaves to do in the background is not the tick's cost."""
        for command in ("VACUUM (ANALYZE) schedule_cursor, task", "CHECKPOINT"):
            await self._connection.execute(command)
        for _ in range(TICK_RUNS):
            (worked,), _ = await self._work(1, FIRST_MINUTE - timedelta(days=1), TICKS)
            self._note(f"idle_tick_ms_at_{tasks}_tasks", statistics.median(worked.ticks_ms))

    async def alone(self, run: int, due: int) -> None:
        (worked,), _ = await self._work(1, minute(FIRST_MINUTE, run) - AHEAD)
        self._note("materialise_per_second", worked.occurrences / worked.seconds)
        self._note("materialise_memory_mb", worked.memory_mb)
        self._note("materialise_longest_statement_ms", worked.longest_statement_ms)
        self._note("materialise_longest_commit_ms", worked.longest_commit_ms)
        self.longest.append(worked.longest_statement)
        self._note("materialise_wrong_occurrences", await self._wrong(run, due))

    async def together(self, run: int, due: int) -> None:
        workers, seconds = await self._work(SCHEDULERS_TOGETHER, minute(FIRST_MINUTE, run) - AHEAD)
        self._note("materialise_together_per_second", sum(each.occurrences for each in workers) / seconds)
        self._note("materialise_together_longest_statement_ms", max(each.longest_statement_ms for each in workers))
        self._note("materialise_together_wrong_occurrences", await self._wrong(run, due))

    async def _work(self, schedulers: int, now: datetime, ticks: int = 0) -> tuple[Sequence[Worked], float]:
        """What each scheduler did, and how long they took together."""
        job = Job(self._url, self._bench.stores.redis_url, now, ticks)
        async with contextlib.AsyncExitStack() as stack:
            workers = [
                await stack.enter_async_context(working("tests.bench.harness.scheduler", job))
                for _ in range(schedulers)
            ]
            began_at = time.perf_counter()
            for worker in workers:
                await worker.begin()
            return [await worker.answer(Worked) for worker in workers], time.perf_counter() - began_at

    async def _wrong(self, run: int, due: int) -> float:
        """How many occurrences are missing, doubled, or not of this run's minute; then the queue is emptied."""
        right = await self._connection.fetchval(
            "SELECT count(DISTINCT task_id) FROM due_work WHERE scheduled_for = $1", minute(FIRST_MINUTE, run)
        )
        made = await self._connection.fetchval("SELECT count(*) FROM due_work")
        await self._connection.execute("TRUNCATE due_work")
        return float(abs(due - right) + made - right)

    def _note(self, name: str, value: float) -> None:
        self.runs.setdefault(name, []).append(value)


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def _figures(runs: Runs, sizes: Sequence[int], longest: str) -> Answer:
    growth = [
        large / small
        for small, large in zip(
            runs[f"idle_tick_ms_at_{sizes[0]}_tasks"], runs[f"idle_tick_ms_at_{sizes[-1]}_tasks"], strict=True
        )
    ]
    goals = {
        "materialise_per_second": Goal(at_least=5000),
        "materialise_memory_mb": Goal(at_most=300),
        "materialise_longest_statement_ms": Goal(at_most=100),
        "materialise_wrong_occurrences": Goal(at_most=0),
        "materialise_together_wrong_occurrences": Goal(at_most=0),
    }
    notes = {"materialise_longest_statement_ms": longest}
    found = [Measurement(name, values, goals.get(name), notes.get(name)) for name, values in runs.items()]
    return [*found, Measurement("idle_tick_growth", growth, Goal(at_most=1.5))]
