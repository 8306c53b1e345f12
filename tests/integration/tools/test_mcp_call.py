"""`mcp.call` against servers of the official SDK, new and old, in each of the ways in which they answer."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from services.executor.tools.base import ToolFault
from services.executor.tools.mcp_call import McpCall
from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.limits import RESPONSE_BODY_BYTES
from shared.vocabulary.states import ErrorClass
from tests.support.contexts import CONTEXT, context_of
from tests.support.mcp_server import Served, mcp_serving
from tests.support.waiting import wait_until

LOOPBACK = AddressPolicy.parse("127.0.0.0/8,::1/128")
OTHER_AGENT = UUID(int=4)


@pytest.fixture
async def mcp() -> AsyncIterator[McpCall]:
    tool = McpCall(LOOPBACK)
    yield tool
    await tool.close()


@pytest.fixture(
    params=[{}, {"has_json_answers": True}, {"is_old": True}, {"is_old": True, "is_stateless": True}],
    ids=["new", "new, answers in JSON", "old", "old, without sessions"],
)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    async with mcp_serving(**request.param) as served:
        yield served


@pytest.fixture
async def new_server() -> AsyncIterator[Served]:
    async with mcp_serving() as served:
        yield served


@pytest.fixture
async def old_server() -> AsyncIterator[Served]:
    async with mcp_serving(is_old=True) as served:
        yield served


async def called(mcp: McpCall, server: Served, tool: str, **more: object) -> dict[str, object]:
    return await mcp.call({"url": server.url, "tool": tool, **more}, CONTEXT)


async def fault_of(mcp: McpCall, server: Served, tool: str, **more: object) -> ToolFault:
    with pytest.raises(ToolFault) as caught:
        await called(mcp, server, tool, **more)
    return caught.value


async def test_a_tool_is_called_and_its_structured_answer_given(mcp: McpCall, server: Served) -> None:
    output = await called(mcp, server, "describe", arguments={"city": "Bălți", "days": 3})

    assert output["structured"] == {"city": "Bălți", "days": 3, "nothing": None}
    assert '"city": "Bălți"' in str(output["text"])
    assert (output["content"], output["is_error"], output["truncated"]) == ([], False, False)


async def test_text_is_joined_and_other_parts_are_kept(mcp: McpCall, server: Served) -> None:
    output = await called(mcp, server, "parts")

    assert (output["structured"], output["text"]) == (None, "one\ntwo")
    assert output["content"] == [{"type": "image", "data": "aGVsbG8=", "mimeType": "image/png"}]


async def test_an_error_of_the_tool_fails_the_step_and_keeps_its_words(mcp: McpCall, server: Served) -> None:
    fault = await fault_of(mcp, server, "fails", arguments={"why": "out of stock"})

    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert isinstance(fault.output, dict)
    assert fault.output["is_error"] is True
    assert "fails" in str(fault.output["text"])


async def test_a_tool_that_is_not_there_is_named_with_those_that_resemble_it(mcp: McpCall, server: Served) -> None:
    fault = await fault_of(mcp, server, "descibe")

    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message == "with.tool: The server has no tool descibe. Did you mean describe?"
    assert server.called("tools/call") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": 1}, "with.arguments: 'b' is a required property."),
        ({"a": 1, "b": "two"}, "with.arguments.b: This does not fit the tool's schema, which says type: 'integer'."),
    ],
)
async def test_arguments_that_the_tool_does_not_take_are_refused_before_the_call(
    mcp: McpCall, new_server: Served, arguments: dict[str, object], message: str
) -> None:
    fault = await fault_of(mcp, new_server, "add", arguments=arguments)

    assert (fault.error_class, fault.message, fault.retryable) == (ErrorClass.TOOL, message, False)
    assert new_server.counted == 0


async def test_every_request_carries_the_key_the_trace_and_the_users_headers(mcp: McpCall, server: Served) -> None:
    await called(mcp, server, "add", arguments={"a": 1, "b": 2}, headers={"Authorization": "Bearer a-secret"})

    assert server.called("tools/call")
    for heard in server.heard:
        assert heard.headers["authorization"] == "Bearer a-secret"
        assert heard.headers["idempotency-key"] == CONTEXT.idempotency_key
        assert heard.headers["traceparent"] == CONTEXT.traceparent


async def test_the_list_of_tools_is_asked_for_once_a_minute(mcp: McpCall, server: Served) -> None:
    for _ in range(3):
        await called(mcp, server, "add", arguments={"a": 1, "b": 2})

    assert len(server.called("tools/list")) == 1
    assert len(server.called("server/discover")) == 1
    assert server.counted == 3


async def test_a_known_server_of_today_is_called_with_one_request(mcp: McpCall, new_server: Served) -> None:
    await called(mcp, new_server, "add", arguments={"a": 1, "b": 2})
    before = len(new_server.heard)
    await called(mcp, new_server, "add", arguments={"a": 1, "b": 2})

    assert [heard.called for heard in new_server.heard[before:]] == ["tools/call"]


@pytest.mark.parametrize("other", ["agent", "headers"])
async def test_what_one_agent_was_shown_is_not_used_for_another(mcp: McpCall, new_server: Served, other: str) -> None:
    arguments = {"url": new_server.url, "tool": "add", "arguments": {"a": 1, "b": 2}}
    await mcp.call(arguments, CONTEXT)
    if other == "agent":
        await mcp.call(arguments, context_of(agent_id=OTHER_AGENT))
    else:
        await mcp.call({**arguments, "headers": {"Authorization": "Bearer other"}}, CONTEXT)

    assert len(new_server.called("tools/list")) == 2


async def test_a_session_serves_one_call_and_is_ended(mcp: McpCall, old_server: Served) -> None:
    for _ in range(2):
        await called(mcp, old_server, "add", arguments={"a": 1, "b": 2})
    sessions = [heard.headers["mcp-session-id"] for heard in old_server.called("tools/call")]
    ended = [heard.headers["mcp-session-id"] for heard in old_server.heard if heard.method == "DELETE"]

    assert len(set(sessions)) == 2
    assert ended == sessions


async def test_a_tool_that_came_later_is_found(mcp: McpCall, new_server: Served) -> None:
    await called(mcp, new_server, "add", arguments={"a": 1, "b": 2})
    new_server.server.add_tool(lambda: "here", name="newcomer")

    assert (await called(mcp, new_server, "newcomer"))["text"] == "here"


async def test_a_tool_that_went_away_is_asked_for_anew(mcp: McpCall, new_server: Served) -> None:
    await called(mcp, new_server, "add", arguments={"a": 1, "b": 2})
    new_server.server.remove_tool("add")
    await fault_of(mcp, new_server, "add", arguments={"a": 1, "b": 2})
    fault = await fault_of(mcp, new_server, "add", arguments={"a": 1, "b": 2})

    assert "has no tool add" in fault.message


async def test_an_argument_may_be_called_pattern(mcp: McpCall, new_server: Served) -> None:
    assert (await called(mcp, new_server, "grep", arguments={"pattern": "a+"}))["text"] == "a+"
    assert "type: 'string'" in (await fault_of(mcp, new_server, "grep", arguments={"pattern": 1})).message


async def test_a_large_answer_is_cut(mcp: McpCall, server: Served) -> None:
    output = await called(mcp, server, "huge", arguments={"characters": RESPONSE_BODY_BYTES + 1})

    assert output["text"] == "x" * RESPONSE_BODY_BYTES
    assert output["truncated"] is True


async def test_an_answer_beyond_all_measure_is_a_fault_at_once(mcp: McpCall, server: Served) -> None:
    fault = await fault_of(mcp, server, "huge", arguments={"characters": 5_000_000})

    assert (fault.error_class, fault.retryable) == (ErrorClass.TOOL, False)
    assert fault.message == "The server sent more than 2 MiB."


async def test_a_slow_tool_is_cut_at_the_deadline_and_told_so(mcp: McpCall, server: Served) -> None:
    await called(mcp, server, "add", arguments={"a": 1, "b": 2})
    began = asyncio.get_running_loop().time()
    fault = await fault_of(mcp, server, "slow", timeout_seconds=0.5)

    assert (fault.error_class, fault.retryable) == (ErrorClass.TIMEOUT, True)
    assert fault.message == "The server gave no whole answer within 0.5 s."
    assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_cancelled_call_ends_at_once_and_leaves_nothing_behind(mcp: McpCall, server: Served) -> None:
    await called(mcp, server, "add", arguments={"a": 1, "b": 2})
    before = _tasks()
    running = asyncio.create_task(called(mcp, server, "slow"))
    await server.started.wait()
    began = asyncio.get_running_loop().time()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert asyncio.get_running_loop().time() - began < 1
    await wait_until(lambda: not _tasks() - before)


async def test_a_cancelled_call_is_cancelled_at_the_server(mcp: McpCall, new_server: Served) -> None:
    running = asyncio.create_task(called(mcp, new_server, "slow"))
    await new_server.started.wait()
    running.cancel()

    await asyncio.wait_for(new_server.given_up.wait(), 5)
    with pytest.raises(asyncio.CancelledError):
        await running


def _tasks() -> set[str]:
    """The tasks that are ours, by what they run: the server shares the loop."""
    return {
        name for task in asyncio.all_tasks() if "mcp_session" in (name := repr(task.get_coro())) or "mcp/client" in name
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tool": "add"}, "with.url: This field is required."),
        ({"url": "http://h.example/", "tool": ""}, "with.tool: This must not be empty."),
        ({"url": "ftp://h.example/", "tool": "t"}, "with.url: The URL must begin with http:// or https://."),
        (
            {"url": "http://h.example/", "tool": "t", "headers": {"Mcp-Session-Id": "stolen"}},
            "with.headers.Mcp-Session-Id: This header belongs to the protocol: leave it out.",
        ),
        (
            {"url": "http://h.example/", "tool": "t", "headers": {"X": "a\r\nB: c"}},
            "with.headers.X: A header value holds no line breaks or other control characters.",
        ),
        (
            {"url": "http://h.example/", "tool": "t", "arguments": {"half": "\ud83d"}},
            "with.arguments: This cannot be written as JSON.",
        ),
        (
            {"url": "http://h.example/", "tool": "t", "arguments": {"s": "x" * 1_100_000}},
            "with.arguments: This is longer than 1048576 bytes.",
        ),
    ],
)
async def test_wrong_input_is_told_by_its_path(mcp: McpCall, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ToolFault) as caught:
        await mcp.call(arguments, CONTEXT)
    assert (caught.value.error_class, caught.value.message, caught.value.retryable) == (ErrorClass.TOOL, message, False)
