"""Lists and statistics come from the replica, objects from the primary. Here the replica is a database of its own, so
that one can tell who answered."""

import msgspec
import pytest

from deploy.local.postgres import EmbeddedPostgres
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import Bench, bench, free_port, make_database, started, task_body


@pytest.fixture
async def replica(postgres: EmbeddedPostgres) -> str:
    return await make_database(postgres, f"replica_{free_port()}")


async def test_lists_are_read_from_the_replica_and_objects_from_the_primary(
    settings: GatewaySettings, own_gateway: Bench, replica: str
) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    async with started(msgspec.structs.replace(settings, database_replica_url=replica)) as client:
        headers = {"Authorization": f"Bearer {owner.token.text}"}
        listed = await client.get("/tasks", headers=headers)
        shown = await client.get(f"/tasks/{task['id']}", headers=headers)
    assert (listed.status_code, listed.json()["items"]) == (200, [])
    assert (shown.status_code, shown.json()["id"]) == (200, task["id"])


async def test_while_the_replica_is_away_lists_are_read_from_the_primary(
    settings: GatewaySettings, own_gateway: Bench
) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with started(msgspec.structs.replace(settings, database_replica_url=away)) as client:
        listed = await client.get("/tasks", headers={"Authorization": f"Bearer {owner.token.text}"})
    assert [each["id"] for each in listed.json()["items"]] == [task["id"]]


async def test_what_only_the_replica_has_is_listed(settings: GatewaySettings, own_gateway: Bench, replica: str) -> None:
    owner = await own_gateway.caller()
    async with bench(own_gateway.url, replica) as beside:
        await beside.pool.execute(
            "INSERT INTO agent (id, name, name_key, scopes) VALUES ($1, 'copied', 'copied', '{tasks:read}')",
            owner.agent_id,
        )
        await beside.pool.execute(
            """INSERT INTO task (id, agent_id, title, schedule_kind, schedule_expr, timezone, anchor_at, payload)
               VALUES (uuidv7(), $1, 'Of the replica', 'cron', '0 * * * *', 'UTC', now(), $2)""",
            owner.agent_id,
            task_body()["payload"],
        )
    async with started(msgspec.structs.replace(settings, database_replica_url=replica)) as client:
        listed = await client.get("/tasks", headers={"Authorization": f"Bearer {owner.token.text}"})
    assert [each["title"] for each in listed.json()["items"]] == ["Of the replica"]
