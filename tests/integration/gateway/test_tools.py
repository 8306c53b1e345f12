"""What the tools are called, take and give, as an agent sees it."""

from typing import Any

import pytest

from shared.tools.catalogue import CATALOGUE
from tests.integration.gateway.bench import Bench, Caller, open_client

FIELDS = {
    *("name", "summary", "description", "input_schema", "output_schema", "example", "scope", "can_wait", "is_pure"),
}


async def _tools(caller: Caller) -> list[dict[str, Any]]:
    answer = await caller.get("/tools")
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


async def test_every_tool_is_listed_with_all_that_is_known_of_it(owner: Caller) -> None:
    tools = await _tools(owner)
    assert [tool["name"] for tool in tools] == [*CATALOGUE]
    assert all(set(tool) == FIELDS for tool in tools)
    assert all(tool["summary"] and tool["description"] for tool in tools)


async def test_a_tool_is_shown_by_its_name(owner: Caller) -> None:
    for tool in await _tools(owner):
        assert (await owner.get(f"/tools/{tool['name']}")).json() == tool


async def test_an_unknown_tool_is_not_found_and_a_near_one_is_named(owner: Caller) -> None:
    answer = await owner.get("/tools/transfrom")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "not_found")
    assert "transform" in answer.json()["detail"]


async def test_every_schema_is_one_of_an_object_whose_references_lead_somewhere(owner: Caller) -> None:
    for tool in await _tools(owner):
        schema = tool["input_schema"]
        assert _resolved(schema, schema).get("type") == "object", tool["name"]
        for reference in _references(tool["input_schema"]):
            assert _resolved({"$ref": reference}, schema), (tool["name"], reference)
        assert isinstance(tool["output_schema"], dict)


async def test_the_example_of_every_tool_fits_its_schema_by_name(owner: Caller) -> None:
    for tool in await _tools(owner):
        schema = _resolved(tool["input_schema"], tool["input_schema"])
        given = set(tool["example"].get("with", {}))
        assert given <= set(schema["properties"]), tool["name"]
        assert set(schema.get("required", ())) <= given, tool["name"]


async def test_any_token_may_look_and_nobody_without_one(gateway: Bench) -> None:
    async with open_client(f"{gateway.url}/v1") as client:
        assert (await client.get("/tools")).status_code == 401


@pytest.mark.parametrize("path", ["/tools/", "/tools/..%2ftasks", "/tools/%00"])
async def test_a_path_that_names_no_tool_is_not_found(owner: Caller, path: str) -> None:
    assert (await owner.client.get(path)).status_code in (200 if path == "/tools/" else 404, 404)


def _references(schema: object) -> list[str]:
    if isinstance(schema, dict):
        own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
        return own + [each for value in schema.values() for each in _references(value)]
    if isinstance(schema, list):
        return [each for value in schema for each in _references(value)]
    return []


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = root
    for part in schema["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    resolved: dict[str, Any] = found
    return resolved


async def test_the_list_of_tools_shows_what_a_step_and_a_group_look_like(owner: Caller) -> None:
    answer = (await owner.get("/tools")).json()
    step = answer["step_schema"]["$defs"]["Step"]
    assert {"id", "uses", "with", "if", "foreach", "save_as", "retry", "on_error"} <= step["properties"].keys()
    assert "parallel" in answer["group_schema"]["$defs"]["Parallel"]["properties"]
