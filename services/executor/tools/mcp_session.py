"""One conversation with an MCP server: meet, look at the tools when they are not known, call, part."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import mcp_types
import msgspec
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.connector import USER_AGENT
from services.executor.tools.cutting import cut
from services.executor.tools.mcp_answer import McpAnswer, answer_of
from services.executor.tools.mcp_offers import Offer
from services.executor.tools.mcp_schema import wrong_argument
from services.executor.tools.mcp_transport import RECEIVED_BYTES, Exchange
from services.executor.tools.storable import storable_text
from shared.tools.mcp_call import McpCallInput
from shared.vocabulary.decoding import close_matches
from shared.vocabulary.states import ErrorClass

LIST_PAGES = 20
LISTED_TOOLS = 1000
MAX_MESSAGE_LENGTH = 500
# Its arguments are also sent as headers, which the client does only for tools that it has listed itself.
HEADER_MARK = b"x-mcp-header"
CLIENT_INFO = mcp_types.Implementation(name=USER_AGENT, version="1")

# What the client says in place of an HTTP status, of which we know more.
STATUS_STAND_INS = frozenset({"Not Found", "Session terminated", "Server returned an error response"})
DECISIVE_STATUSES = frozenset({401, 403, 408, 425, 429})
BROKEN_OFF = ("SSE stream", "Connection closed")

Keep = Callable[[Offer], None]


class FaultInside(Exception):
    """Carries a fault past task groups, which wrap whatever passes them."""

    def __init__(self, fault: ToolFault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def silence() -> None:
    """What the library logs of a failed call holds pieces of answers; the fault tells of it."""
    for name in ("client", "httpx2", "mcp"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


async def converse(
    exchange: Exchange, request: McpCallInput, context: StepContext, offer: Offer | None, keep: Keep
) -> McpAnswer:
    """Returns the tool's answer, be it an error or not; raises ToolFault. `offer`: what is known of the server already;
    `keep` is given what was learnt."""
    try:
        # No timeouts of its own: the whole call has one.
        async with httpx2.AsyncClient(transport=exchange, trust_env=False, timeout=None) as http:
            return await _meet_and_call(http, request, context, offer, keep)
    except (ExceptionGroup, MCPError, ValidationError, httpx2.HTTPError, RuntimeError, ValueError) as error:
        raise _fault_of(error, exchange) from error


async def _meet_and_call(
    http: httpx2.AsyncClient, request: McpCallInput, context: StepContext, offer: Offer | None, keep: Keep
) -> McpAnswer:
    streams = streamable_http_client(request.url, http_client=http, max_sse_event_size=RECEIVED_BYTES)
    mode, discovery = _manner(offer)
    async with Client(streams, mode=mode, prior_discover=discovery, cache=None, client_info=CLIENT_INFO) as client:
        schema = offer.schemas.get(request.tool) if offer else None
        if schema is None or HEADER_MARK in schema:
            offer = await _offer_of(client)
            keep(offer)
            schema = offer.schemas.get(request.tool)
        if schema is None:
            raise FaultInside(_no_such_tool(request.tool, [*offer.schemas] if offer else []))
        if wrong := wrong_argument(schema, request.arguments, "with.arguments"):
            raise FaultInside(ToolFault(ErrorClass.TOOL, wrong))
        return await _answer(client, request, context)


async def _answer(client: Client, request: McpCallInput, context: StepContext) -> McpAnswer:
    """Not by `call_tool`: that would hold the answer against the server's output schema, in unbounded time."""
    meta: Any = {"idempotencyKey": context.idempotency_key}
    if context.traceparent is not None:
        meta["traceparent"] = context.traceparent
    params = mcp_types.CallToolRequestParams(name=request.tool, arguments=request.arguments, _meta=meta)
    result = await client.session.send_request(mcp_types.CallToolRequest(params=params), mcp_types.CallToolResult)
    return answer_of(result.model_dump(mode="json", by_alias=True, exclude_none=True))


def _manner(offer: Offer | None) -> tuple[str, mcp_types.DiscoverResult | None]:
    """How to begin: by asking, by the handshake, or at once with what the server said of itself last time."""
    if offer is None:
        return "auto", None
    if offer.discovery is None:
        return "legacy", None
    discovery = mcp_types.DiscoverResult.model_validate_json(offer.discovery)
    mutual = [
        version for version in mcp_types.version.MODERN_PROTOCOL_VERSIONS if version in discovery.supported_versions
    ]
    return mutual[-1], discovery


async def _offer_of(client: Client) -> Offer:
    schemas: dict[str, bytes] = {}
    cursor: str | None = None
    for _ in range(LIST_PAGES):
        page = await client.session.list_tools(params=mcp_types.PaginatedRequestParams(cursor=cursor))
        schemas |= {tool.name: msgspec.json.encode(tool.input_schema) for tool in page.tools}
        cursor = page.next_cursor
        if cursor is None or len(schemas) > LISTED_TOOLS:
            break
    found = client.session.discover_result
    return Offer(schemas, found.model_dump_json(by_alias=True).encode() if found else None)


def _no_such_tool(name: str, known: list[str]) -> ToolFault:
    close = close_matches(name, known, 3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return ToolFault(ErrorClass.TOOL, storable_text(f"with.tool: The server has no tool {name}.{hint}"))


def _fault_of(error: Exception, exchange: Exchange) -> ToolFault:
    leaves = [*_leaves(error)]
    for leaf in leaves:
        if isinstance(leaf, FaultInside):
            return leaf.fault
    for leaf in leaves:
        if isinstance(leaf, MCPError):
            return _fault_of_refusal(leaf, exchange)
    return exchange.fault or _not_the_protocol()


def _fault_of_refusal(refusal: MCPError, exchange: Exchange) -> ToolFault:
    if exchange.fault is not None and _is_decided_by_http(refusal, exchange.status):
        return exchange.fault
    if refusal.message.startswith(BROKEN_OFF):
        message = "The exchange broke off: the server closed the stream before it answered."
        return ToolFault(ErrorClass.CONNECT, message, retryable=True)
    if refusal.code == mcp_types.PARSE_ERROR:
        return _not_the_protocol()  # the client's sentence quotes what it could not read
    said = storable_text(cut(refusal.message, MAX_MESSAGE_LENGTH))
    return ToolFault(ErrorClass.TOOL, f"The server refused the call ({refusal.code}): {said}")


def _not_the_protocol() -> ToolFault:
    return ToolFault(ErrorClass.TOOL, "The server does not keep to the protocol.")


def _is_decided_by_http(refusal: MCPError, status: int | None) -> bool:
    """An error of the protocol says more than the 400 or 404 that it may come with; anything else says less."""
    is_mere = status is not None and status // 100 == 4 and status not in DECISIVE_STATUSES
    return not is_mere or refusal.message in STATUS_STAND_INS


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error
