"""PURE: what an event is, and what one must be to be published."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

from shared.vocabulary.faults import FieldFault, Invalid, PayloadTooLarge, invalid_field
from shared.vocabulary.limits import EVENT_DEPTH, EVENT_PAYLOAD_BYTES
from shared.vocabulary.topics import problem_of_topic

PAYLOAD_TOO_LARGE = f"The payload of an event has at most {EVENT_PAYLOAD_BYTES // 1024} KiB, written as JSON."

# The types that CloudEvents knows, written as JSON.
Attribute: TypeAlias = str | bool | int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """`id` is the publisher's, so that it can ask twice. `published_by` says who acted for the source. `depth`: how
    many events led to this one, one after the other. `attributes`: what CloudEvents says beside topic and payload."""

    id: UUID
    topic: str
    payload: Mapping[str, Any]
    source_agent_id: UUID
    published_by: str | None = None
    depth: int = 0
    traceparent: str | None = None
    attributes: Mapping[str, Attribute] | None = None

    def seen_by_tasks(self, published_at: datetime) -> dict[str, Any]:
        """What `${event}` and a filter see, and what work keeps."""
        seen = {
            "id": str(self.id),
            "topic": self.topic,
            "payload": self.payload,
            "source_agent_id": str(self.source_agent_id),
            "published_by": self.published_by,
            "published_at": published_at.isoformat(),
            "depth": self.depth,
        }
        return seen if self.attributes is None else {**seen, "attributes": self.attributes}


class Published(msgspec.Struct, frozen=True):
    """`listeners`: the tasks for which it made work. `is_new` False: it was published before, and made none now."""

    event: Event
    published_at: datetime
    listeners: int
    is_new: bool


def check_event(event: Event) -> None:
    """Raises Invalid or PayloadTooLarge."""
    check_topic(event.topic, "topic")
    check_payload(event.payload, "payload")
    if event.depth > EVENT_DEPTH:
        raise event_loop()


def check_topic(topic: str, field: str) -> None:
    problem = problem_of_topic(topic)
    if problem is not None:
        raise invalid_field(
            field, problem.message, "invalid_topic", position=problem.position, suggestion=problem.suggestion
        )


def check_payload(payload: Mapping[str, Any], field: str) -> None:
    if is_too_large(payload):
        wrong = FieldFault(field, PAYLOAD_TOO_LARGE, "too_long")
        raise PayloadTooLarge(PAYLOAD_TOO_LARGE, validation_errors=[wrong])


def is_too_large(payload: Mapping[str, Any]) -> bool:
    return len(msgspec.json.encode(payload)) > EVENT_PAYLOAD_BYTES


def event_loop() -> Invalid:
    message = f"{EVENT_DEPTH} events led here, each caused by the one before: this looks like a loop, and ends here."
    return Invalid(message, error_code="event_loop")
