"""Runs as server-sent events: each change at once, all of them without Redis, and none missed by who comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from uuid import UUID, uuid4

import asyncpg
import msgspec
import pytest
from redis.asyncio import Redis

from services.gateway.http.streaming import Pace
from services.gateway.live import audience, run_listener, run_watch, stream
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from shared.database.pool import Connection
from shared.streams.run_updates import STREAM, WANTED, RunChange, publish
from shared.vocabulary.scopes import Scope
from tests.integration.gateway.bench import TOKEN_KEY, Bench, Caller, Served, bench
from tests.integration.gateway.test_run_callbacks import make_run
from tests.support.event_stream import Stream, following
from tests.support.runs import finish_run, lease_run, park_run
from tests.support.waiting import wait_until

# Below the gateway's own look, and far above what Redis takes.
AT_ONCE_SECONDS = 0.8
# The look, and what it may wait for.
SOON_SECONDS = 4.0
NOWHERE = "redis://127.0.0.1:1"
Change = Callable[[Connection, UUID], Awaitable[None]]


@pytest.fixture
def settings(shared_gateway: Served, redis_url: str) -> GatewaySettings:
    """Of a second gateway beside the one that all tests share."""
    return GatewaySettings(
        database_url=shared_gateway.database_url, redis_url=redis_url, token_key=TOKEN_KEY, http_port=0
    )


@pytest.fixture
async def served(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """In this process, where a test can set other bounds."""
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    yield service
    await service.stop()


@pytest.fixture
async def near(served: Gateway, settings: GatewaySettings) -> AsyncIterator[Bench]:
    async with bench(f"http://127.0.0.1:{served.port}", settings.database_url) as opened:
        yield opened


@pytest.fixture
async def ana(gateway: Bench) -> Caller:
    return await gateway.caller()


@pytest.fixture
async def eve(near: Bench) -> Caller:
    return await near.caller()


async def change(pool: asyncpg.Pool, run_id: UUID, act: Change) -> None:
    """Work and run in one transaction, as everybody does it."""
    async with pool.acquire() as connection, connection.transaction():
        await act(connection, run_id)


async def told(pool: asyncpg.Pool, redis: Redis, run_id: UUID, act: Change) -> None:
    """And whoever listens is told, as an executor does."""
    await change(pool, run_id, act)
    agent_id = await pool.fetchval("SELECT agent_id FROM task_run WHERE id = $1", run_id)
    await publish(redis, [RunChange(run_id, agent_id, "any")])


def states(opened: Stream) -> list[tuple[str, str]]:
    return [(run["id"], run["status"]) for run in opened.all("run")]


async def until_told(opened: Stream, run_id: UUID, status: str, patience_seconds: float = SOON_SECONDS) -> None:
    await wait_until(lambda: (str(run_id), status) in states(opened), patience_seconds)


def has_come(opened: Stream, messages: int) -> bool:
    return len(opened.messages) >= messages


async def is_listening(opened: Stream) -> None:
    await wait_until(lambda: opened.comments)


async def test_the_whole_life_of_a_run_is_told_in_order_and_at_once(gateway: Bench, ana: Caller, redis: Redis) -> None:
    async with following(ana.client, "/runs/stream") as opened:
        await is_listening(opened)
        run_id = await make_run(ana)
        await until_told(opened, run_id, "queued")
        for act, status in ((lease_run, "running"), (park_run, "waiting"), (lease_run, "running")):
            began = time.monotonic()
            before = len(opened.messages) + 1
            await told(gateway.pool, redis, run_id, act)
            await wait_until(partial(has_come, opened, before))
            assert opened.all("run")[-1]["status"] == status
            assert time.monotonic() - began < AT_ONCE_SECONDS
        await told(gateway.pool, redis, run_id, finish_run)
        await until_told(opened, run_id, "succeeded", AT_ONCE_SECONDS)
        assert [status for _, status in states(opened)] == ["queued", "running", "waiting", "running", "succeeded"]
        assert opened.all("run")[-1] == await listed(ana, run_id)
        assert opened.retry == "2000"


async def listed(caller: Caller, run_id: UUID) -> object:
    return next(run for run in (await caller.get("/runs")).json()["items"] if run["id"] == str(run_id))


async def test_without_redis_everything_is_told_all_the_same(settings: GatewaySettings) -> None:
    service = Gateway(msgspec.structs.replace(settings, redis_url=NOWHERE), "gateway-of-one-test")
    await service.start()
    try:
        async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as here:
            ana = await here.caller()
            async with following(ana.client, "/runs/stream") as opened:
                await is_listening(opened)
                run_id = await make_run(ana)
                await until_told(opened, run_id, "queued")
                for act, status in ((lease_run, "running"), (park_run, "waiting"), (finish_run, "succeeded")):
                    await change(here.pool, run_id, act)
                    await until_told(opened, run_id, status)
                assert len(states(opened)) == 4
    finally:
        await service.stop()


async def test_a_wish_that_a_running_run_ends_is_told(gateway: Bench, ana: Caller) -> None:
    run_id = await make_run(ana)
    await change(gateway.pool, run_id, lease_run)
    async with following(ana.client, "/runs/stream") as opened:
        await is_listening(opened)
        await gateway.pool.execute("UPDATE task_run SET cancel_requested_at = now() WHERE id = $1", run_id)
        await wait_until(lambda: any(run["cancel_requested_at"] for run in opened.all("run")), SOON_SECONDS)


async def test_an_outcome_long_after_the_nominal_time_is_told(gateway: Bench, ana: Caller) -> None:
    """Ids show the nominal time; a run can wait for a month."""
    run_id = await make_run(ana)
    old = UUID(int=run_id.int - (40 * 86_400_000 << 80))
    for table in ("task_run", "due_work"):
        await gateway.pool.execute(f"UPDATE {table} SET id = $2 WHERE id = $1", run_id, old)
    async with following(ana.client, "/runs/stream") as opened:
        await is_listening(opened)
        await change(gateway.pool, old, finish_run)
        await until_told(opened, old, "succeeded")


async def test_redis_emptied_and_filled_again_loses_nothing(near: Bench, eve: Caller, redis: Redis) -> None:
    async with following(eve.client, "/runs/stream") as opened:
        await is_listening(opened)
        runs = [await make_run(eve) for _ in range(3)]
        for run_id in runs:
            await redis.flushall()
            await told(near.pool, redis, run_id, lease_run)
            await redis.flushall()
            await change(near.pool, run_id, finish_run)
        for run_id in runs:
            await until_told(opened, run_id, "succeeded")
        await wait_until(lambda: redis.exists(WANTED))


async def test_a_transaction_that_ends_late_is_not_missed(
    near: Bench, eve: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows bear the time of its beginning, and its number is below those of what was told meanwhile."""
    monkeypatch.setattr(stream.LiveStreams, "pace", Pace(alive_seconds=0.1, token_seconds=60))
    late, prompt = await make_run(eve), await make_run(eve)
    async with following(eve.client, "/runs/stream") as opened, near.pool.acquire() as connection:
        await is_listening(opened)
        async with connection.transaction():
            await finish_run(connection, late)
            await change(near.pool, prompt, finish_run)
            await until_told(opened, prompt, "succeeded")
            now_ms = await near.pool.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint")
            await wait_until(lambda: _milliseconds_in(opened.last_id) > now_ms, SOON_SECONDS)
            last_id = opened.last_id
        await until_told(opened, late, "succeeded")
    async with following(eve.client, "/runs/stream", last_id) as again:
        await until_told(again, late, "succeeded")


def _milliseconds_in(position: str | None) -> int:
    return int((position or "0").partition("-")[0])


async def test_who_comes_back_is_told_what_changed_meanwhile(gateway: Bench, ana: Caller, redis: Redis) -> None:
    before, ended, begun, untouched = [await make_run(ana) for _ in range(4)]
    async with following(ana.client, "/runs/stream") as opened:
        await is_listening(opened)
        await told(gateway.pool, redis, before, finish_run)
        await until_told(opened, before, "succeeded")
    await change(gateway.pool, ended, finish_run)
    await change(gateway.pool, begun, lease_run)
    made = await make_run(ana)
    async with following(ana.client, "/runs/stream", opened.last_id) as again:
        for run_id, status in ((ended, "succeeded"), (begun, "running"), (made, "queued")):
            await until_told(again, run_id, status)
        assert str(untouched) not in [run_id for run_id, _ in states(again)]
        await told(gateway.pool, redis, untouched, finish_run)
        await until_told(again, untouched, "succeeded", AT_ONCE_SECONDS)
    async with following(ana.client, "/runs/stream", last_event_id=again.last_id or "") as third:
        await is_listening(third)


async def test_a_silent_stream_moves_on_so_that_its_client_may_come_back_later(
    near: Bench, eve: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.LiveStreams, "pace", Pace(alive_seconds=0.1, token_seconds=60))
    async with following(eve.client, "/runs/stream") as opened:
        await is_listening(opened)
        first = opened.last_id
        await near.pool.execute("CREATE TABLE whatever ()")
        await wait_until(lambda: opened.last_id != first, SOON_SECONDS)
        assert opened.messages == []


@pytest.mark.parametrize("age_ms", [16 * 60 * 1000, -60_000])
async def test_a_position_that_is_not_kept_is_gone(gateway: Bench, ana: Caller, age_ms: int) -> None:
    now_ms = await gateway.pool.fetchval("SELECT (extract(epoch FROM now()) * 1000)::bigint")
    answer = await ana.client.get("/runs/stream", headers={"Last-Event-ID": f"{now_ms - age_ms}-1"})
    assert (answer.status_code, answer.json()["error_code"]) == (410, "history_gone")


@pytest.mark.parametrize("text", ["x", "1", "1-2-3", "-1-2", "9" * 200, "99999999999999999-1", "1-" + "9" * 19])
async def test_a_position_that_was_never_given_out_is_refused(gateway: Bench, text: str) -> None:
    owner = await gateway.caller()
    for answer in (
        await owner.client.get("/runs/stream", headers={"Last-Event-ID": text}),
        await owner.client.get("/runs/stream", params={"last_event_id": text}),
    ):
        assert answer.status_code in (400, 410)
        assert answer.json()["error_code"] in ("invalid_last_event_id", "invalid_query", "history_gone")


async def test_runs_of_others_are_told_to_admins_alone(gateway: Bench, ana: Caller) -> None:
    bob, admin = await gateway.caller(), await gateway.admin()
    async with (
        following(ana.client, "/runs/stream") as own,
        following(admin.client, "/runs/stream") as whole,
    ):
        await is_listening(own)
        await is_listening(whole)
        of_bob, of_ana = await make_run(bob), await make_run(ana)
        for run_id in (of_bob, of_ana):
            await change(gateway.pool, run_id, finish_run)
            await until_told(whole, run_id, "succeeded")
        await until_told(own, of_ana, "succeeded")
        assert str(of_bob) not in [run_id for run_id, _ in states(own)]


async def test_a_stream_tells_only_what_it_was_asked_for(gateway: Bench, ana: Caller) -> None:
    wanted, other = await make_run(ana), await make_run(ana)
    task_id = await gateway.pool.fetchval("SELECT task_id::text FROM task_run WHERE id = $1", wanted)
    async with (
        following(ana.client, "/runs/stream", task_id=task_id) as of_task,
        following(ana.client, "/runs/stream", status="failed") as failed,
    ):
        await is_listening(of_task)
        await is_listening(failed)
        await change(gateway.pool, wanted, lease_run)
        await until_told(of_task, wanted, "running")
        await change(gateway.pool, wanted, finish_run)
        await change(gateway.pool, other, lambda connection, run_id: finish_run(connection, run_id, "failed"))
        await until_told(of_task, wanted, "succeeded")
        await until_told(failed, other, "failed")
        assert {run_id for run_id, _ in states(of_task)} == {str(wanted)}
        assert states(failed) == [(str(other), "failed")]


async def test_of_two_gateways_each_tells_its_clients(near: Bench, ana: Caller) -> None:
    client = await near.client(Authorization=f"Bearer {ana.token.text}")
    async with following(ana.client, "/runs/stream") as here, following(client, "/runs/stream") as there:
        await is_listening(here)
        await is_listening(there)
        run_id = await make_run(ana)
        for opened in (here, there):
            await until_told(opened, run_id, "queued")


# --- one run ---


async def test_one_run_is_told_from_how_it_stands_to_its_outcome(gateway: Bench, ana: Caller, redis: Redis) -> None:
    run_id, other = await make_run(ana), await make_run(ana)
    async with following(ana.client, f"/runs/{run_id}/stream") as opened:
        await until_told(opened, run_id, "queued")
        await told(gateway.pool, redis, other, finish_run)
        await told(gateway.pool, redis, run_id, lease_run)
        await until_told(opened, run_id, "running")
        await change(gateway.pool, run_id, finish_run)
        await wait_until(lambda: opened.is_over, SOON_SECONDS)
        assert [message.event for message in opened.messages] == ["run", "run", "run", "end"]
        assert opened.all("end") == [{"id": str(run_id), "status": "succeeded"}]
    async with following(ana.client, f"/runs/{run_id}/stream") as again:
        await wait_until(lambda: again.is_over)
        assert [message.event for message in again.messages] == ["run", "end"]


async def test_a_run_of_another_is_as_one_that_is_not(gateway: Bench, owner: Caller, admin: Caller) -> None:
    run_id = await make_run(await gateway.caller())
    answers = [await owner.get(f"/runs/{each}/stream") for each in (run_id, uuid4())]
    texts = [{**answer.json(), "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert texts[0] == texts[1]
    async with following(admin.client, f"/runs/{run_id}/stream") as opened:
        await until_told(opened, run_id, "queued")


async def test_who_waits_for_a_run_is_woken_by_its_outcome(
    served: Gateway, near: Bench, eve: Caller, redis: Redis
) -> None:
    runs = served._live.runs  # noqa: SLF001 (routes wait through it)
    run_id = await make_run(eve)
    assert not await runs.wait_for_run(run_id, 0.01)
    waiting = asyncio.create_task(runs.wait_for_run(run_id, 20))
    await wait_until(lambda: runs.is_followed)
    await told(near.pool, redis, run_id, lease_run)
    began = time.monotonic()
    await told(near.pool, redis, run_id, finish_run)
    assert await waiting
    assert time.monotonic() - began < AT_ONCE_SECONDS
    assert await runs.wait_for_run(run_id, 20)


# --- bounds ---


async def test_a_stream_ends_with_its_token(near: Bench, eve: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.LiveStreams, "pace", Pace(alive_seconds=0.1, token_seconds=0.2))
    async with following(eve.client, "/runs/stream") as opened:
        await wait_until(lambda: opened.comments.count("alive") > 4)
        await near.pool.execute("UPDATE agent_token SET revoked_at = now() WHERE agent_id = $1", eve.agent_id)
        await wait_until(lambda: opened.is_over)


async def test_a_stream_ends_when_its_agent_may_not_see_that_much_any_more(
    near: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream.LiveStreams, "pace", Pace(alive_seconds=60, token_seconds=0.2))
    admin = await near.admin()
    async with following(admin.client, "/runs/stream") as opened:
        await is_listening(opened)
        await near.pool.execute("UPDATE agent SET scopes = '{runs:read}' WHERE id = $1", admin.agent_id)
        await wait_until(lambda: opened.is_over)


async def test_one_agent_has_so_many_streams(served: Gateway, near: Bench, eve: Caller) -> None:
    bob = await near.caller()
    places = served._live.places  # noqa: SLF001 (nothing outside shows who follows)
    tasks = [asyncio.create_task(_read_all(eve)) for _ in range(audience.STREAMS_PER_AGENT)]
    await wait_until(lambda: places.taken == audience.STREAMS_PER_AGENT)
    for path in ("/runs/stream", f"/runs/{uuid4()}/stream", "/events/stream"):
        answer = await eve.get(path)
        assert (answer.status_code, answer.json()["error_code"]) == (429, "too_many_streams")
        assert answer.headers["retry-after"] == "5"
    async with following(bob.client, "/runs/stream") as opened:
        await is_listening(opened)
    for task in tasks:
        task.cancel()
    await wait_until(lambda: places.taken == 0)


async def _read_all(caller: Caller) -> str:
    async with caller.client.stream("GET", "/runs/stream", timeout=40) as answer:
        return (await answer.aread()).decode()


async def test_when_the_gateway_stops_streams_end_at_once(settings: GatewaySettings) -> None:
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as here:
        reading = asyncio.create_task(_read_all(await here.caller()))
        await wait_until(lambda: service._live.runs.is_followed)  # noqa: SLF001
        began = time.monotonic()
        await service.stop()
        await reading
        assert time.monotonic() - began < 2


async def test_only_streams_are_streams(gateway: Bench, owner: Caller) -> None:
    assert (await owner.client.get("/runs/stream", headers={"Accept": "text/html"})).status_code == 406
    blind = await gateway.caller(Scope.TASKS_READ)
    assert (await blind.get("/runs/stream")).json()["error_code"] == "insufficient_scope"
    assert (await owner.get("/runs/stream", status="odd")).json()["error_code"] == "invalid_query"


@pytest.fixture
def small_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_listener, "RUNS_WAITING", 3)
    monkeypatch.setattr(run_watch, "RUNS_AT_ONCE", 4)
    monkeypatch.setattr(run_watch, "FOUND_AT_ONCE", 5)


@pytest.mark.usefixtures("small_bounds")
async def test_more_than_can_wait_is_told_page_by_page(near: Bench, eve: Caller) -> None:
    runs = [await make_run(eve) for _ in range(20)]
    async with following(eve.client, "/runs/stream") as opened:
        await is_listening(opened)
        await near.pool.execute(
            "UPDATE task_run SET status = 'failed', finished_at = now() WHERE agent_id = $1", eve.agent_id
        )
        for run_id in runs:
            await until_told(opened, run_id, "failed")
        last = await make_run(eve)
        await until_told(opened, last, "queued")
    async with following(eve.client, "/runs/stream", opened.ids[0]) as again:
        for run_id in runs:
            await until_told(again, run_id, "failed")


async def test_the_stream_of_updates_is_made_only_while_somebody_listens(eve: Caller, redis: Redis) -> None:
    await wait_until(lambda: _is_none(redis, WANTED))
    await redis.delete(STREAM)
    await make_run(eve)
    assert not await redis.exists(STREAM)
    async with following(eve.client, "/runs/stream") as opened:
        await is_listening(opened)
        await wait_until(lambda: redis.exists(WANTED))
        assert 0 < await redis.ttl(WANTED) <= 5


async def _is_none(redis: Redis, key: str) -> bool:
    return not await redis.exists(key)
