"""`event.publish`: an event for all who listen."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.events.event import PAYLOAD_TOO_LARGE, check_topic, is_too_large
from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec, is_open
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import EVENT_DEPTH, EVENT_PAYLOAD_BYTES
from shared.vocabulary.scopes import Scope


class EventPublishInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`payload` is what those who listen see as `event.payload`."""

    topic: str
    payload: dict[str, Any] = {}


def check_event_publish(arguments: Mapping[str, Any], _policy: AddressPolicy, field: str) -> None:
    topic, payload = arguments.get("topic"), arguments.get("payload")
    if isinstance(topic, str) and not is_open(topic):
        check_topic(topic, f"{field}.topic")
    if isinstance(payload, dict) and not is_open(payload) and is_too_large(payload):
        raise invalid_field(f"{field}.payload", PAYLOAD_TOO_LARGE, "too_long")


EVENT_PUBLISH = ToolSpec(
    name="event.publish",
    summary="Publish an event.",
    description="Every active task that waits for the topic, or for a pattern that covers it, runs at once, whoever "
    f"owns it. The payload has at most {EVENT_PAYLOAD_BYTES // 1024} KiB. Tried again, the step publishes nothing "
    f"twice. A chain in which each event causes the next ends after {EVENT_DEPTH}.",
    input=EventPublishInput,
    output={
        "type": "object",
        "properties": {
            "event_id": {"type": "string", "format": "uuid"},
            "topic": {"type": "string"},
            "listeners": {"type": "integer", "description": "How many tasks run because of it."},
        },
    },
    example={
        "id": "tell",
        "uses": "event.publish",
        "with": {"topic": "report.ready", "payload": {"url": "${steps.store.output.json.url}"}},
    },
    check=check_event_publish,
    scope=Scope.EVENTS_PUBLISH,
)
