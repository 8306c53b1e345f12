import pytest

from tests.integration.gateway.bench import Bench, Caller

KNOWN = ['"1"', 'W/"1"', "*", '"7", "1"']


@pytest.mark.parametrize("if_none_match", KNOWN)
async def test_who_has_the_task_already_gets_no_body(owner: Caller, if_none_match: str) -> None:
    task = await owner.create_task(description="x" * 2000)
    answer = await owner.client.get(f"/tasks/{task['id']}", headers={"If-None-Match": if_none_match})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
    assert not {"content-type", "content-length", "content-encoding"} & {*answer.headers}
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("if_none_match", ['"2"', "nonsense", "", '"11"'])
async def test_who_has_another_version_gets_the_task(owner: Caller, if_none_match: str) -> None:
    task = await owner.create_task()
    answer = await owner.client.get(f"/tasks/{task['id']}", headers={"If-None-Match": if_none_match})
    assert (answer.status_code, answer.json()) == (200, task)


async def test_a_change_makes_it_unknown_again(owner: Caller) -> None:
    task = await owner.create_task()
    await owner.put(f"/tasks/{task['id']}", {"title": "New"})
    answer = await owner.client.get(f"/tasks/{task['id']}", headers={"If-None-Match": '"1"'})
    assert (answer.status_code, answer.json()["title"], answer.headers["etag"]) == (200, "New", '"2"')


@pytest.mark.parametrize("path", ["/agents/me", "/agents/{agent_id}"])
async def test_agents_are_answered_alike(admin: Caller, path: str) -> None:
    path = path.format(agent_id=admin.agent_id)
    etag = (await admin.get(path)).headers["etag"]
    assert (await admin.client.get(path, headers={"If-None-Match": etag})).status_code == 304


async def test_what_is_not_there_is_not_there_either_way(owner: Caller, gateway: Bench) -> None:
    task = await owner.create_task()
    other = await gateway.caller()
    answer = await other.client.get(f"/tasks/{task['id']}", headers={"If-None-Match": "*"})
    assert answer.status_code == 404


async def test_a_change_is_no_read(owner: Caller) -> None:
    task = await owner.create_task()
    headers = {"If-None-Match": "*"}
    assert (await owner.put(f"/tasks/{task['id']}", {"title": "New"}, headers=headers)).status_code == 200
