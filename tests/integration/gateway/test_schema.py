import re
from typing import Any

from shared.tools.catalogue import CATALOGUE
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
        "title",
        "schedule_kind",
        "schedule_expr",
        "payload",
    ]


async def test_the_document_shows_the_input_of_every_tool(gateway: Bench) -> None:
    schemas = (await _document(gateway))["components"]["schemas"]
    forms = schemas["Step"]["discriminator"]["mapping"]
    assert [*forms] == [*CATALOGUE]
    step = schemas[forms["http.request"].rpartition("/")[2]]
    arguments = schemas[step["properties"]["with"]["$ref"].rpartition("/")[2]]
    assert (step["properties"]["uses"]["const"], arguments["required"]) == ("http.request", ["url"])
    assert schemas["Payload"]["properties"]["pipeline"]["items"] == {"$ref": "#/components/schemas/PipelineEntry"}


async def test_a_page_shows_the_document_without_any_other_host(gateway: Bench) -> None:
    async with open_client(gateway.url) as client:
        page = await client.get("/schema")
        named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        files = [await client.get(name) for name in named if name.startswith("/schema/assets/")]
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert all(name.startswith(("/schema/", "data:")) for name in named)
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", page.text)
    assert [file.status_code for file in files] == [200, 200, 200]
    assert all(file.headers["cache-control"] == "public, max-age=86400" for file in files)


async def test_a_file_of_the_page_that_is_known_is_not_sent_again(gateway: Bench) -> None:
    async with open_client(gateway.url) as client:
        path = "/schema/assets/swagger-ui.css"
        known = {"If-None-Match": (await client.get(path)).headers["etag"]}
        again = await client.get(path, headers=known)
        missing = await client.get("/schema/assets/assets.py")
    assert (again.status_code, again.content) == (304, b"")
    assert (missing.status_code, missing.json()["error_code"]) == (404, "not_found")


async def test_what_the_document_does_not_have_is_answered_as_every_error(gateway: Bench) -> None:
    async with open_client(gateway.url) as client:
        answer = await client.get("/schema/nothing")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
