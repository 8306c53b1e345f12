import asyncio
import time

import msgspec
import pytest

from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import Bench, free_port, started, task_body
from tests.support.waiting import wait_until

CHECKS = ("database", "migrations", "redis", "scheduler", "executor", "work", "schedules", "events")
BEAT = """INSERT INTO worker_heartbeat (service, instance, version, beat_at)
          VALUES ($1, 'one', '0', now() - make_interval(secs => $2))"""


async def _beat(gateway: Bench, *services: str, seconds_ago: float = 0) -> None:
    for service in services:
        await gateway.pool.execute(BEAT, service, seconds_ago)


async def test_a_process_that_lives_says_so_without_a_token(gateway: Bench) -> None:
    answer = await (await gateway.client()).get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})


async def test_ready_means_that_database_migrations_and_the_other_services_are_well(own_gateway: Bench) -> None:
    await _beat(own_gateway, "scheduler", "executor")
    answer = await (await own_gateway.client()).get("/health/ready")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ready",
        "checks": dict.fromkeys(CHECKS, "ok"),
    }


@pytest.mark.parametrize("missing", ["scheduler", "executor"])
async def test_without_a_fresh_heartbeat_of_the_others_it_is_not_ready(own_gateway: Bench, missing: str) -> None:
    await _beat(own_gateway, *({"scheduler", "executor"} - {missing}))
    await _beat(own_gateway, missing, seconds_ago=11)
    answer = await (await own_gateway.client()).get("/health/ready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert [name for name, state in answer.json()["checks"].items() if state == "failed"] == [missing]


async def test_at_another_revision_it_is_not_ready(own_gateway: Bench) -> None:
    await _beat(own_gateway, "scheduler", "executor")
    await own_gateway.pool.execute("UPDATE alembic_version SET version_num = '0000'")
    answer = await (await own_gateway.client()).get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (503, "failed")


async def test_without_tables_it_is_not_ready(settings: GatewaySettings, postgres_database: str) -> None:
    async with started(msgspec.structs.replace(settings, database_url=postgres_database)) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "ok")
    assert answer.json()["checks"]["migrations"] == "failed"


async def test_without_redis_it_is_ready_and_degraded(settings: GatewaySettings, own_gateway: Bench) -> None:
    await _beat(own_gateway, "scheduler", "executor")
    away = f"redis://127.0.0.1:{free_port()}"
    async with started(msgspec.structs.replace(settings, redis_url=away)) as client:
        answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["checks"]["redis"]) == (200, "degraded")


async def test_without_a_database_it_lives_and_says_within_two_seconds_that_it_is_not_ready(
    settings: GatewaySettings,
) -> None:
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with started(msgspec.structs.replace(settings, database_url=away)) as client:
        began = time.monotonic()
        answer = await client.get("/health/ready")
        assert time.monotonic() - began < 2
        assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "failed")
        assert (await client.get("/health/live")).status_code == 200


async def test_a_database_that_does_not_answer_is_noticed_within_two_seconds(settings: GatewaySettings) -> None:
    async def silence(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stopped.wait()
        writer.close()

    stopped = asyncio.Event()
    silent = await asyncio.start_server(silence, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with started(
        msgspec.structs.replace(settings, database_url=f"postgresql://nobody@127.0.0.1:{port}/nothing?sslmode=disable")
    ) as client:
        began = time.monotonic()
        assert (await client.get("/health/ready")).status_code == 503
        assert time.monotonic() - began < 2
        stopped.set()
    silent.close()


async def test_work_that_nobody_takes_makes_it_unready_and_details_say_how_long_it_waits(
    settings: GatewaySettings, own_gateway: Bench
) -> None:
    await _beat(own_gateway, "scheduler", "executor")
    admin = await own_gateway.admin()
    task = await admin.create_task()
    assert (await admin.post(f"/tasks/{task['id']}/run_now")).status_code == 200
    await own_gateway.pool.execute("UPDATE due_work SET run_at = now() - interval '1 minute'")
    await own_gateway.pool.execute("UPDATE worker_heartbeat SET started_at = now() - interval '20 seconds'")
    async with started(msgspec.structs.replace(settings, ready_work_seconds=10.0)) as client:
        headers = {"Authorization": f"Bearer {admin.token.text}"}
        answer = await client.get("/health", headers=headers)
        of_runs, of_tasks = await client.get("/runs/health"), await client.get("/tasks/health")
    assert (answer.status_code, answer.json()["checks"]["work"]) == (503, "failed")
    # Since the executor is there: what waited longer was left by an outage.
    assert 20 <= answer.json()["details"]["backlog"]["work_seconds"] < 60
    assert (of_runs.status_code, of_tasks.status_code) == (503, 200)


@pytest.mark.parametrize("module", ["tasks", "runs", "events", "agents"])
async def test_each_part_of_the_api_tells_its_health_without_a_token(own_gateway: Bench, module: str) -> None:
    await _beat(own_gateway, "scheduler", "executor")
    answer = await (await own_gateway.client()).get(f"/{module}/health")
    assert (answer.status_code, answer.json()["module"], answer.json()["status"]) == (200, module, "ready")
    assert set(answer.json()["checks"].values()) == {"ok"}


async def test_only_an_admin_sees_details(own_gateway: Bench) -> None:
    await _beat(own_gateway, "scheduler")
    admin, owner = await own_gateway.admin(), await own_gateway.caller()
    details = (await admin.get("/health")).json()["details"]
    assert "scheduler" in [each["service"] for each in details["instances"]]
    assert details["revision"] == details["expected_revision"]
    assert "details" not in (await owner.get("/health")).json()
    assert "details" not in (await (await own_gateway.client()).get("/health")).json()


async def test_the_gateway_beats_itself(own_gateway: Bench) -> None:
    beats = "SELECT count(*) FROM worker_heartbeat WHERE service = 'gateway'"
    await wait_until(lambda: own_gateway.pool.fetchval(beats))


async def test_a_task_is_created_while_redis_is_away_and_nobody_waits_for_it(
    settings: GatewaySettings, own_gateway: Bench
) -> None:
    owner = await own_gateway.caller()
    away = f"redis://127.0.0.1:{free_port()}"
    async with started(msgspec.structs.replace(settings, redis_url=away)) as client:
        headers = {"Authorization": f"Bearer {owner.token.text}"}
        assert (await client.post("/tasks", json=task_body(), headers=headers)).status_code == 201
