"""The promise, tried from outside: HTTP and the receiver's own log are the only witnesses."""

import contextlib
import functools
import signal
from datetime import UTC, datetime, timedelta

import aiohttp
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.e2e.stack import Stack, another_executor
from tests.support.receiver import Receiver
from tests.support.waiting import wait_until


def seconds_ahead(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def test_a_once_task_reaches_its_receiver_once_and_is_complete(stack: Stack, receiver: Receiver) -> None:
    task = await stack.schedule("once", seconds_ahead(2), receiver.call())

    await wait_until(lambda: _is_completed(stack, task["id"]))

    (run,) = await stack.runs(task["id"])
    assert receiver.keys == [run["id"]]
    assert (run["status"], run["success"], run["attempt"]) == ("succeeded", True, 1)
    assert receiver.arrivals[0] >= datetime.fromisoformat(task["schedule_expr"]).timestamp()


async def test_a_manual_run_starts_at_once_and_its_id_is_known_at_once(stack: Stack, receiver: Receiver) -> None:
    task = await stack.schedule("cron", "0 0 1 1 *", receiver.call())

    status, answer = await stack.call("POST", f"/tasks/{task['id']}/run_now")

    run_id = answer["details"]["run_id"]
    assert status == 200
    await wait_until(lambda: _has_status(stack, run_id, "succeeded"))
    assert receiver.keys == [run_id]


async def test_killing_every_service_and_emptying_redis_loses_and_doubles_nothing(
    stack: Stack, receiver: Receiver
) -> None:
    first = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=3)
    last = first + timedelta(seconds=22)
    task = await stack.schedule(
        "cron", "*/2 * * * * *", receiver.call(), starts_at=first.isoformat(), ends_at=last.isoformat()
    )
    for number, name in enumerate(("scheduler", "executor", "gateway", "valkey")):
        await wait_until(functools.partial(_has_received, receiver, 2 * number + 1))
        stack.kill(name)
    async with Redis.from_url(stack.environment_of("scheduler")["PAO_REDIS_URL"]) as redis:
        await wait_until(lambda: _is_emptied(redis))

    await wait_until(lambda: _is_completed(stack, task["id"]), 60)

    runs = await stack.runs(task["id"])
    even = first + timedelta(seconds=first.second % 2)
    expected = [even + timedelta(seconds=2 * step) for step in range(int((last - even).total_seconds()) // 2 + 1)]
    assert sorted(datetime.fromisoformat(run["scheduled_for"]) for run in runs) == expected
    assert {run["status"] for run in runs} == {"succeeded"}
    assert set(receiver.deliveries()) == {run["id"] for run in runs}


async def test_work_of_a_killed_executor_is_taken_over_under_the_same_key(stack: Stack, receiver: Receiver) -> None:
    receiver.may_answer.clear()
    task = await stack.schedule("once", seconds_ahead(0.5), receiver.call())
    await wait_until(lambda: receiver.keys)

    stack.kill("executor")
    receiver.may_answer.set()

    await wait_until(lambda: _is_completed(stack, task["id"]))
    (run,) = await stack.runs(task["id"])
    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    assert receiver.keys == [run["id"]] * 2


async def test_an_executor_stopped_past_its_lease_leaves_one_outcome(stack: Stack, receiver: Receiver) -> None:
    receiver.may_answer.clear()
    task = await stack.schedule("once", seconds_ahead(0.5), receiver.call())
    await wait_until(lambda: receiver.keys)

    stopped = stack.kill("executor", signal.SIGSTOP)
    receiver.may_answer.set()
    async with another_executor(stack):
        await wait_until(lambda: _is_completed(stack, task["id"]))
        stack.kill("executor", signal.SIGCONT)
        assert stack.pid("executor") == stopped
        (run,) = await stack.runs(task["id"])
        await wait_until(lambda: _has_let_go(stack, run["id"]))

    (run,) = await stack.runs(task["id"])
    assert (run["status"], run["attempt"]) == ("succeeded", 2)
    assert receiver.keys == [run["id"]] * 2


async def test_a_stopped_executor_ends_in_time_and_another_finishes_its_work(stack: Stack, receiver: Receiver) -> None:
    receiver.may_answer.clear()
    task = await stack.schedule("once", seconds_ahead(0.5), receiver.call())
    await wait_until(lambda: receiver.keys)

    stopped = stack.kill("executor", signal.SIGTERM)

    await wait_until(lambda: stack.pid("executor") != stopped, 10)
    receiver.may_answer.set()
    await wait_until(lambda: _is_completed(stack, task["id"]))
    (run,) = await stack.runs(task["id"])
    assert (run["status"], run["attempt"]) == ("succeeded", 1)
    assert receiver.keys == [run["id"]] * 2


async def _is_completed(stack: Stack, task_id: str) -> bool:
    with contextlib.suppress(aiohttp.ClientError):  # the gateway may be starting again
        _, task = await stack.call("GET", f"/tasks/{task_id}")
        return bool(task["status"] == "completed")
    return False


async def _is_emptied(redis: Redis) -> bool:
    with contextlib.suppress(RedisError, OSError):  # Valkey may be starting again
        return bool(await redis.flushall())
    return False


def _has_received(receiver: Receiver, runs: int) -> bool:
    return len(receiver.deliveries()) >= runs


def _has_let_go(stack: Stack, run_id: str) -> bool:
    """The late attempt was told that its lease is gone, or its write was refused."""
    lines = [line for line in stack.log("executor").splitlines() if run_id in line]
    return any(event in line for line in lines for event in ("lease_lost", "stale_write_refused"))


async def _has_status(stack: Stack, run_id: str, status: str) -> bool:
    _, run = await stack.call("GET", f"/runs/{run_id}")
    return bool(run["status"] == status)
