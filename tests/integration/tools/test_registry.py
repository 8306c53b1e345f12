"""The toolbox of an executor."""

import pytest

from services.executor.tools.base import Tool
from services.executor.tools.http_request import HttpRequest
from services.executor.tools.registry import Toolbox


async def test_a_tool_is_found_by_the_name_that_steps_use(strict_tool: HttpRequest) -> None:
    tool: Tool = strict_tool
    toolbox = Toolbox([tool])
    assert toolbox["http.request"] is tool
    assert list(toolbox) == ["http.request"]
    assert "sleep" not in toolbox
    await toolbox.close()


async def test_two_tools_of_one_name_are_a_mistake(strict_tool: HttpRequest) -> None:
    with pytest.raises(ValueError, match=r"http\.request"):
        Toolbox([strict_tool, strict_tool])
