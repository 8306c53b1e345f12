"""`mcp.call`: one tool of an MCP server over streamable HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.outbound.headers import check_headers
from shared.outbound.urls import check_url
from shared.tools.base import ToolSpec
from shared.tools.open_input import check_open_headers, check_open_url
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import RESPONSE_BODY_BYTES, TIMEOUT_SECONDS

TOOL_NAME_CHARACTERS = 256
# The protocol's own: what a user put there would change who is spoken to, or in which tongue.
PROTOCOL_NAMES = frozenset({"accept", "content-type", "cookie", "last-event-id"})
PROTOCOL_PREFIX = "mcp-"


class McpCallInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`arguments` are the tool's; `headers` go with every HTTP request of the call; `timeout_seconds` is for the whole
    call, the handshake included."""

    url: str
    tool: Annotated[str, msgspec.Meta(min_length=1, max_length=TOOL_NAME_CHARACTERS)]
    arguments: dict[str, Any] = {}
    headers: dict[str, str] = {}
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)] = 30.0


def check_mcp_call(arguments: Mapping[str, object], policy: AddressPolicy, field: str) -> McpCallInput:
    """Reads rendered arguments, in which nothing is taken for a template any more: what looks like one came from data.
    Raises `Invalid` with the path of the first wrong value below `field`."""
    call = decode(arguments, McpCallInput, field)
    check_url(call.url, policy, f"{field}.url")
    check_headers(call.headers, f"{field}.headers")
    _check_protocol_headers(call.headers, f"{field}.headers")
    return call


def check_open_call(arguments: Mapping[str, Any], policy: AddressPolicy, field: str) -> None:
    """The same as far as it is known when a task is written; the form has been checked."""
    headers = arguments.get("headers")
    check_open_url(arguments.get("url"), policy, f"{field}.url")
    check_open_headers(headers, f"{field}.headers")
    if isinstance(headers, Mapping):
        _check_protocol_headers(headers, f"{field}.headers")


def _check_protocol_headers(headers: Mapping[str, object], field: str) -> None:
    for name in headers:
        if name.lower() in PROTOCOL_NAMES or name.lower().startswith(PROTOCOL_PREFIX):
            message = "This header belongs to the protocol: leave it out."
            raise invalid_field(f"{field}.{name}", message, "invalid_header")


MCP_CALL = ToolSpec(
    name="mcp.call",
    summary="Call a tool of an MCP server.",
    description="Calls one tool of a Model Context Protocol server over streamable HTTP. The arguments are checked "
    "against the tool's own input schema first. `structured` is what the tool gives in structured form, or null; "
    "`text` its text parts, joined by line breaks; `content` its other parts. Beyond "
    f"{RESPONSE_BODY_BYTES // 1024} KiB together they are cut, and `truncated` is true. A tool that reports an error "
    "fails the step. Redirects are not followed.",
    input=McpCallInput,
    output={
        "type": "object",
        "properties": {
            "structured": {"type": ["object", "array", "string", "number", "boolean", "null"]},
            "text": {"type": "string"},
            "content": {"type": "array", "items": {"type": "object"}},
            "is_error": {"type": "boolean"},
            "truncated": {"type": "boolean"},
        },
        "required": ["structured", "text", "content", "is_error", "truncated"],
    },
    example={
        "id": "weather",
        "uses": "mcp.call",
        "with": {
            "url": "https://weather.example.com/mcp",
            "tool": "forecast",
            "arguments": {"city": "${params.city}", "days": 3},
            "headers": {"Authorization": "Bearer ${secrets.weather_token}"},
        },
    },
    check=check_open_call,
    takes_secrets=True,
)
