from typing import Any

from tests.integration.gateway.bench import Bench, open_client


async def _document(gateway: Bench) -> dict[str, Any]:
    async with open_client(gateway.url) as client:
        found: dict[str, Any] = (await client.get("/schema/openapi.json")).json()
        return found


async def test_the_document_describes_the_routes_below_v1_and_no_others(gateway: Bench) -> None:
    paths = (await _document(gateway))["paths"]
    assert {path for path in paths if not path.startswith("/v1/")} == set()
    assert {
        "/v1/tasks",
        "/v1/tasks/{task_id}",
        "/v1/tasks/{task_id}/run_now",
        "/v1/tasks/{task_id}/explain",
        "/v1/schedules/preview",
        "/v1/runs/task/{task_id}/latest",
        "/v1/agents/me",
        "/v1/health/ready",
    } <= set(paths)


async def test_the_document_shows_the_fields_of_a_task_with_their_bounds(gateway: Bench) -> None:
    document = await _document(gateway)
    fields = document["components"]["schemas"]["TaskCreate"]["properties"]
    assert fields["title"]["maxLength"] == 200
    assert (fields["priority"]["minimum"], fields["priority"]["maximum"]) == (1, 9)
    assert document["components"]["schemas"]["TaskCreate"]["required"] == [
        "payload",
        "schedule_expr",
        "schedule_kind",
        "title",
    ]


async def test_what_the_document_does_not_have_is_answered_as_every_error(gateway: Bench) -> None:
    async with open_client(gateway.url) as client:
        answer = await client.get("/schema/nothing")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
