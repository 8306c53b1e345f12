"""The tool as an executor builds it, and as one that may call the loopback interface."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from services.executor.tools.base import ToolFault, Waiting
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy
from tests.support.contexts import CONTEXT

Call = Callable[..., Awaitable[dict[str, object]]]
Fail = Callable[..., Awaitable[ToolFault]]


@pytest.fixture
async def strict_tool() -> AsyncIterator[HttpRequest]:
    tool = HttpRequest(AddressPolicy())
    yield tool
    await tool.close()


@pytest.fixture
async def tool() -> AsyncIterator[HttpRequest]:
    opened = HttpRequest(AddressPolicy.parse("127.0.0.0/8,::1/128"))
    yield opened
    await opened.close()


@pytest.fixture
def call(tool: HttpRequest) -> Call:
    """Calls the URL with the tool that may reach loopback; the other arguments by keyword."""

    async def act(url: str, **arguments: object) -> dict[str, object]:
        output = await tool.call({"url": url, **arguments}, CONTEXT)
        assert not isinstance(output, Waiting)
        return output

    return act


@pytest.fixture
def fail(tool: HttpRequest) -> Fail:
    """The fault that such a call ends with."""

    async def act(url: str, **arguments: object) -> ToolFault:
        return await fault_of(tool, {"url": url, **arguments})

    return act


async def fault_of(tool: HttpRequest, arguments: Mapping[str, object]) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await tool.call(arguments, CONTEXT)
    return caught.value
