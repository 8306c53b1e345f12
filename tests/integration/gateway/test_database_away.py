import asyncio

import msgspec

from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import Bench, free_port, started, task_body
from tests.support.waiting import wait_until

END_ALL = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
              WHERE application_name = 'gateway' AND datname = current_database()"""

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_without_a_database_a_request_is_told_to_come_back(own_gateway: Bench, settings: GatewaySettings) -> None:
    owner = await own_gateway.caller()
    away = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    async with started(msgspec.structs.replace(settings, database_url=away)) as client:
        headers = {"Authorization": f"Bearer {owner.token.text}"}
        answer = await client.post("/tasks", json=task_body(), headers=headers)
    assert (answer.status_code, answer.json()["error_code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_wrong_password_or_name_is_no_fault_of_the_client(
    own_gateway: Bench, settings: GatewaySettings
) -> None:
    owner = await own_gateway.caller()
    wrong = settings.database_url.replace("/test_", "/no_such_test_")
    async with started(msgspec.structs.replace(settings, database_url=wrong)) as client:
        answer = await client.get("/tasks", headers={"Authorization": f"Bearer {owner.token.text}"})
    assert answer.status_code == 503


async def test_connections_that_died_are_replaced_without_a_client_seeing_it(own_gateway: Bench) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    for _ in range(3):
        await asyncio.gather(*(owner.get("/tasks") for _ in range(5)))
        await own_gateway.pool.execute(END_ALL)
        answers = [await owner.put(f"/tasks/{task['id']}", {"title": "x"})]
        answers += await asyncio.gather(*(owner.get("/tasks") for _ in range(5)))
        assert {answer.status_code for answer in answers} == {200}


async def test_a_connection_that_dies_in_the_middle_changes_nothing_or_all(own_gateway: Bench) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    async with own_gateway.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM task FOR UPDATE")
        under_way = asyncio.create_task(owner.put(f"/tasks/{task['id']}", {"title": "changed"}))
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        await wait_until(lambda: own_gateway.pool.fetchval(waiting))
        await own_gateway.pool.execute(END_ALL)
    answer = await under_way
    shown = await owner.show_task(task["id"])
    assert (answer.status_code, shown["title"]) in [(200, "changed"), (503, task["title"])]


async def test_a_lock_that_is_not_given_in_time_is_a_503_and_changes_nothing(own_gateway: Bench) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    async with own_gateway.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM task FOR UPDATE")
        answer = await owner.post(f"/tasks/{task['id']}/pause")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert await owner.show_task(task["id"]) == task


async def test_when_all_connections_are_at_work_a_request_is_told_to_come_back_and_health_still_answers(
    own_gateway: Bench, settings: GatewaySettings
) -> None:
    owner = await own_gateway.caller()
    task = await owner.create_task()
    headers = {"Authorization": f"Bearer {owner.token.text}"}
    small = msgspec.structs.replace(settings, database_pool_size=1, database_pool_overflow=0)
    async with started(small) as client, own_gateway.pool.acquire() as blocker, blocker.transaction():
        await blocker.execute("SELECT FROM task FOR UPDATE")
        pausing = [client.post(f"/tasks/{task['id']}/pause", headers=headers) for _ in range(3)]
        answers = asyncio.gather(*pausing)
        live = await client.get("/health/ready")
        assert live.json()["checks"]["database"] == "ok"
        assert {answer.status_code for answer in await answers} == {503}
