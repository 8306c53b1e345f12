"""A scheduler in a process of its own, under a clock that is given: reads a job, says ready, waits, answers."""

import sys
import time
from datetime import datetime

import asyncpg
import msgspec
import uvloop

# Imported for its weight: a scheduler holds all of it in memory.
import services.scheduler.app  # noqa: F401
from services.scheduler.bell import Ringer
from services.scheduler.materialiser import Materialiser
from services.scheduler.settings import SchedulerSettings
from shared.database.pool import open_pool
from shared.runtime.process import keep_what_was_loaded
from shared.streams.client import open_redis
from tests.bench.harness.processes import READY, peak_memory_mb
from tests.bench.harness.statements import StatementTimes

POOL_SIZE = 4


class Job(msgspec.Struct, frozen=True):
    """Materialise all that is due at `now`; or, with `ticks`, look so many times when nothing is."""

    database_url: str
    redis_url: str
    now: datetime
    ticks: int = 0


class Worked(msgspec.Struct, frozen=True):
    occurrences: int
    seconds: float
    memory_mb: float
    longest_statement_ms: float
    longest_statement: str
    longest_commit_ms: float
    ticks_ms: list[float]


async def work(job: Job) -> Worked:
    pool = await open_pool(job.database_url, application_name="bench", size=POOL_SIZE)
    times = StatementTimes()
    await times.watch(pool, POOL_SIZE)
    materialiser = Materialiser(pool, Ringer(open_redis(job.redis_url)), _settings(job))
    await materialiser.start()
    keep_what_was_loaded()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    sys.stdin.readline()
    began_at = time.perf_counter()
    occurrences = 0 if job.ticks else await _materialise_all(materialiser, job.now)
    ticks_ms = [await _tick_ms(materialiser, job.now) for _ in range(job.ticks)]
    seconds = time.perf_counter() - began_at
    await pool.close()
    return Worked(
        occurrences, seconds, peak_memory_mb(), times.longest_ms, times.longest, times.longest_commit_ms, ticks_ms
    )


def _settings(job: Job) -> SchedulerSettings:
    return SchedulerSettings(database_url=job.database_url, redis_url=job.redis_url)


async def _materialise_all(materialiser: Materialiser, now: datetime) -> int:
    occurrences = 0
    while (done := await materialiser.run_once(now)).is_backlog_left:
        occurrences += done.due
    return occurrences + done.due


async def _tick_ms(materialiser: Materialiser, now: datetime) -> float:
    began_at = time.perf_counter()
    done = await materialiser.run_once(now)
    if done.due:
        raise asyncpg.DataError("something was due in a tick that should have found nothing")
    return (time.perf_counter() - began_at) * 1000


if __name__ == "__main__":
    answer = uvloop.run(work(msgspec.json.decode(sys.stdin.readline(), type=Job)))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.flush()
