"""The tool as an executor builds it, and as one that may call the loopback interface."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.http_request import HttpRequest
from shared.outbound.addresses import AddressPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTEXT = StepContext(
    run_id=UUID("019b7f1e-0000-7000-8000-000000000001"),
    step_id="call",
    attempt=1,
    idempotency_key="019b7f1e-0000-7000-8000-000000000001.call",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)

Call = Callable[..., Awaitable[dict[str, object]]]
Fail = Callable[..., Awaitable[ToolFault]]


@pytest.fixture
async def strict_tool() -> AsyncIterator[HttpRequest]:
    tool = HttpRequest(AddressPolicy())
    yield tool
    await tool.close()


@pytest.fixture
async def tool() -> AsyncIterator[HttpRequest]:
    opened = HttpRequest(AddressPolicy.parse("127.0.0.0/8,::1/128"), now=lambda: NOW)
    yield opened
    await opened.close()


@pytest.fixture
def call(tool: HttpRequest) -> Call:
    """Calls the URL with the tool that may reach loopback; the other arguments by keyword."""

    async def act(url: str, **arguments: object) -> dict[str, object]:
        return await tool.call({"url": url, **arguments}, CONTEXT)

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
