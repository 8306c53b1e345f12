"""How many runs a second does one executor bring to their outcome, and what do runs cost that wait?

Due work of 100 tasks: pipelines of three `transform` steps, single calls of a receiver on this machine, and then calls
that never answer and runs that sleep, beside which fresh work must be claimed as promptly as without them.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from shared.database.pool import use_json_codec
from tests.bench.harness.executors import ExecutorProcess, executing
from tests.bench.harness.processes import working
from tests.bench.harness.question import Answer, Bench, Goal, Measurement
from tests.bench.harness.receiver import Listening, Place
from tests.bench.harness.tasks import add_agents

TASKS = 100
RUNS, QUICK_RUNS = 20_000, 4_000
ROUNDS, QUICK_ROUNDS = 5, 2
WAITING = 1000
PROBES = 50
LOOK_EVERY_SECONDS = 0.02
PATIENCE_SECONDS = 120.0

ADD_TASKS = """
INSERT INTO task (id, agent_id, title, schedule_kind, schedule_expr, timezone, anchor_at, payload, overlap_policy,
                  timeout_seconds)
SELECT uuidv7(), (SELECT id FROM agent LIMIT 1), $1, 'once', '2030-01-01T00:00:00Z', 'UTC', now(), $2, 'allow_all', 600
  FROM generate_series(1, $3::int)
"""
ADD_WORK = """
INSERT INTO due_work (id, task_id, agent_id, schedule_rev, scheduled_for, run_at, priority, source)
SELECT uuidv7(), t.id, t.agent_id, 1, now(), now(), 5, 'manual'
  FROM generate_series(1, $2::int) AS n
  JOIN (SELECT id, agent_id, row_number() OVER (ORDER BY id) AS number, count(*) OVER () AS tasks
          FROM task WHERE title = $1) AS t ON t.number = 1 + n % t.tasks
"""
RATE = """
SELECT count(*) / extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM task_run WHERE success
"""
LATE_P99_MS = """
SELECT 1000 * percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM started_at - scheduled_for))::float8
  FROM task_run
 WHERE success
"""
Payload = dict[str, Any]


async def measure(bench: Bench) -> Answer:
    runs, rounds = (QUICK_RUNS, QUICK_ROUNDS) if bench.is_quick else (RUNS, ROUNDS)
    async with bench.stores.fresh_database() as url, _connected(url) as connection, _receiver() as receiver_url:
        await add_agents(connection)
        payloads = {"transform": _transforms(), "http": _call(receiver_url), "hang": _call(f"{receiver_url}/hang")}
        for title, payload in {**payloads, "sleep": _sleep()}.items():
            await connection.execute(ADD_TASKS, title, payload, TASKS)
        execute = Execute(bench, url, connection)
        transforms = [await execute.drain("transform", runs) for _ in range(rounds)]
        calls = [await execute.drain("http", runs) for _ in range(rounds)]
        waits = [await execute.beside_waiting() for _ in range(1 if bench.is_quick else 3)]
    return [
        Measurement("transform_pipelines_per_second", transforms, Goal(at_least=2000)),
        Measurement("http_request_runs_per_second", calls, Goal(at_least=1500)),
        Measurement("claim_p99_ms_alone", [each["alone"] for each in waits]),
        Measurement("claim_p99_ms_beside_1000_hanging", [each["hanging"] for each in waits]),
        Measurement("memory_mb_of_1000_hanging", [each["hang_mb"] for each in waits], Goal(at_most=50)),
        Measurement("memory_mb_of_1000_parked", [each["sleep_mb"] for each in waits], Goal(at_most=50)),
    ]


class Execute:
    def __init__(self, bench: Bench, url: str, connection: asyncpg.Connection) -> None:
        self._bench = bench
        self._url = url
        self._connection = connection

    async def drain(self, title: str, runs: int) -> float:
        """Runs per second, from the first start to the last outcome, by the database's clock."""
        await self._empty()
        await self._connection.execute(ADD_WORK, title, runs)
        await self._connection.execute("VACUUM (ANALYZE) due_work")
        async with executing(self._url, self._bench.stores.redis_url):
            await self._until("SELECT count(*) = 0 FROM due_work")
        rate: float = await self._connection.fetchval(RATE)
        return rate

    async def beside_waiting(self) -> dict[str, float]:
        """The time from due to started, and memory, without and with a thousand runs that hang or are parked."""
        await self._empty()
        async with executing(self._url, self._bench.stores.redis_url) as executor:
            alone = await self._claim_p99_ms()
            before = executor.memory_mb()
            await self._connection.execute(ADD_WORK, "sleep", WAITING)
            await self._until("SELECT count(*) >= 1000 FROM task_run WHERE status = 'waiting'")
            parked = executor.memory_mb()
            await self._connection.execute(ADD_WORK, "hang", WAITING)
            await self._until("SELECT count(*) >= 1000 FROM task_run WHERE status = 'running'")
            hanging = await self._settled_memory_mb(executor)
            beside = await self._claim_p99_ms()
        return {
            "alone": alone,
            "hanging": beside,
            "sleep_mb": parked - before,
            "hang_mb": hanging - parked,
        }

    async def _settled_memory_mb(self, executor: ExecutorProcess) -> float:
        await asyncio.sleep(2)
        return executor.memory_mb()

    async def _claim_p99_ms(self) -> float:
        await self._connection.execute("DELETE FROM task_run WHERE success")
        for _ in range(PROBES):
            await self._connection.execute(ADD_WORK, "transform", 1)
            await self._until(
                "SELECT count(*) = 0 FROM due_work WHERE source = 'manual' AND priority = 5 AND fence = 0"
            )
        late_ms: float = await self._connection.fetchval(LATE_P99_MS)
        return late_ms

    async def _empty(self) -> None:
        await self._connection.execute("TRUNCATE due_work, task_run, run_step, run_attempt")

    async def _until(self, question: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not await self._connection.fetchval(question):
            if time.monotonic() > deadline:
                raise TimeoutError(question)
            await asyncio.sleep(LOOK_EVERY_SECONDS)


def _transforms() -> Payload:
    steps = [
        {"id": "double", "uses": "transform", "with": {"value": {"n": "${params.n * 2}", "who": "${params.who}"}}},
        {"id": "more", "uses": "transform", "with": {"value": "${steps.double.output.n + 1}"}},
        {"id": "told", "uses": "transform", "with": {"value": "${steps.double.output.who} has ${steps.more.output}"}},
    ]
    return {"params": {"n": 20, "who": "somebody"}, "pipeline": steps}


def _call(url: str) -> Payload:
    arguments = {"url": url, "method": "GET", "timeout_seconds": 300}
    return {"pipeline": [{"id": "call", "uses": "http.request", "with": arguments}]}


def _sleep() -> Payload:
    return {"pipeline": [{"id": "nap", "uses": "sleep", "with": {"seconds": 3600}}]}


@contextlib.asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    async with working("tests.bench.harness.receiver", Place()) as worker:
        await worker.begin()
        yield f"http://127.0.0.1:{(await worker.answer(Listening)).port}"


@contextlib.asynccontextmanager
async def _connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    await use_json_codec(connection)
    try:
        yield connection
    finally:
        await connection.close()
