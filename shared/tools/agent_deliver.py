"""`agent.deliver`: a message into the inbox of an agent that cannot be called."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec, is_open
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import (
    ACKNOWLEDGEMENT_SECONDS_DEFAULT,
    AGENT_NAME_CHARACTERS,
    INBOX_BODY_BYTES,
    INBOX_DELIVERIES,
    INBOX_DELIVERIES_DEFAULT,
    INBOX_EXPIRES_SECONDS_DEFAULT,
    WAIT_SECONDS,
)

Seconds = Annotated[int, msgspec.Meta(ge=1, le=WAIT_SECONDS)]


class AgentDeliverInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`agent` is a name or an id; without one, the task's owner. With `await_ack` nobody needs the message after
    `timeout_seconds`, so that it expires then at the latest."""

    body: Any
    agent: Annotated[str, msgspec.Meta(min_length=1, max_length=AGENT_NAME_CHARACTERS)] | None = None
    await_ack: bool = False
    timeout_seconds: Seconds = ACKNOWLEDGEMENT_SECONDS_DEFAULT
    expires_in_seconds: Seconds = INBOX_EXPIRES_SECONDS_DEFAULT
    max_deliveries: Annotated[int, msgspec.Meta(ge=1, le=INBOX_DELIVERIES)] = INBOX_DELIVERIES_DEFAULT

    @property
    def lives_seconds(self) -> int:
        return min(self.expires_in_seconds, self.timeout_seconds) if self.await_ack else self.expires_in_seconds


def check_agent_deliver(arguments: Mapping[str, Any], _policy: AddressPolicy, field: str) -> None:
    body = arguments.get("body")
    if not is_open(body) and len(msgspec.json.encode(body)) > INBOX_BODY_BYTES:
        message = f"A message has at most {INBOX_BODY_BYTES} bytes of JSON."
        raise invalid_field(f"{field}.body", message, "too_long")


AGENT_DELIVER = ToolSpec(
    name="agent.deliver",
    summary="Put a message into an agent's inbox.",
    description="For agents that cannot be called from outside: they fetch it by `GET /inbox` or `GET /inbox/stream`, "
    "and acknowledge it. Without `agent` it goes to the task's owner; only an owner with the scope `admin` may deliver "
    "to others. The step ends when the message is stored or, with `await_ack`, when it is acknowledged: its output is "
    "then the `output` of the acknowledgement. What is not acknowledged comes again, at most `max_deliveries` times.",
    input=AgentDeliverInput,
    output={
        "type": "object",
        "description": "Without await_ack. With it: whatever the agent answered.",
        "properties": {"message_id": {"type": "string", "format": "uuid"}, "agent": {"type": "string"}},
    },
    example={
        "id": "ask",
        "uses": "agent.deliver",
        "with": {"body": {"summarise": "${params.url}"}, "await_ack": True, "timeout_seconds": 600},
    },
    check=check_agent_deliver,
    can_wait=True,
)
