"""PURE: the forms in which events come: JSON with our names or with those of CloudEvents 1.0, one or a batch."""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import msgspec

from services.gateway.events.wire import CloudEvent, EventBatch, EventCreate, Instant
from shared.events.event import Attribute, check_payload, check_topic
from shared.vocabulary.decoding import FAULTS_TOLD, decode, invalid
from shared.vocabulary.faults import FieldFault, Invalid, PayloadTooLarge, invalid_field
from shared.vocabulary.limits import EVENT_ATTRIBUTES_BYTES, EVENTS_PER_BATCH

JSON = "application/json"
CLOUD_EVENT, CLOUD_EVENTS = "application/cloudevents+json", "application/cloudevents-batch+json"
VERSION = "1.0"
JSON_TYPE = re.compile(r"(application/([a-z0-9.-]+\+)?json|text/json)(\s*;.*)?", re.IGNORECASE)
ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,64}")
# Told by topic and payload, or by what the event is written in.
NO_ATTRIBUTES = frozenset({"specversion", "type", "data", "datacontenttype"})
TEXTS: Mapping[str, int] = MappingProxyType(
    {"id": 256, "source": 2048, "subject": 2048, "dataschema": 2048, "time": 64}
)

Items: TypeAlias = Annotated[list[Any], msgspec.Meta(min_length=1, max_length=EVENTS_PER_BATCH)]
ReadOne: TypeAlias = Callable[[object, str], EventCreate]


class Listed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch whose items are not looked at yet."""

    events: Items


def read_event(tree: object) -> EventCreate:
    """Raises Invalid or PayloadTooLarge, as all of these do."""
    return _plain(tree, "")


def read_batch(tree: object) -> EventBatch:
    return _each(decode(tree, Listed).events, "events", _plain)


def read_cloud_event(tree: object) -> EventCreate:
    return _cloud(tree, "")


def read_cloud_events(tree: object) -> EventBatch:
    """The batch format: an array."""
    return _each(decode(tree, Items), "", _cloud)


ONE = MappingProxyType({JSON: read_event, CLOUD_EVENT: read_cloud_event})
SEVERAL = MappingProxyType({JSON: read_batch, CLOUD_EVENTS: read_cloud_events})


def _each(items: list[Any], field: str, read: ReadOne) -> EventBatch:
    """With the faults of all items."""
    events: list[EventCreate] = []
    wrong: list[FieldFault] = []
    too_large: list[FieldFault] = []
    for place, item in enumerate(items):
        try:
            events.append(read(item, f"{field}[{place}]"))
        except PayloadTooLarge as fault:
            too_large += fault.validation_errors
        except Invalid as fault:
            wrong += fault.validation_errors
    if wrong:
        raise invalid(wrong[:FAULTS_TOLD])
    if too_large:
        raise PayloadTooLarge(too_large[0].message, validation_errors=too_large[:FAULTS_TOLD])
    return EventBatch(events)


def _plain(tree: object, field: str) -> EventCreate:
    event = decode(tree, EventCreate, field)
    check_topic(event.topic, _at(field, "topic"))
    check_payload(event.payload, _at(field, "payload"))
    if event.attributes is not None:
        _check_attributes(event.attributes, _at(field, "attributes"))
    return event


def _cloud(tree: object, field: str) -> EventCreate:
    # An attribute that is null is one that is not there (JSON format of CloudEvents, section 2.2).
    given = {name: value for name, value in tree.items() if value is not None} if isinstance(tree, dict) else tree
    if isinstance(given, dict):
        _check_kind(given, field)
    event = decode(given, CloudEvent, field)
    check_topic(event.type, _at(field, "type"))
    check_payload(event.data, _at(field, "data"))
    attributes = {name: value for name, value in dict(given).items() if name not in NO_ATTRIBUTES}  # type: ignore[call-overload]
    _check_attributes(attributes, field)
    return EventCreate(event.type, event.data, attributes=attributes)


def _check_kind(given: Mapping[str, Any], field: str) -> None:
    """What CloudEvents allows, and this service does not."""
    if given.get("specversion", VERSION) != VERSION:
        message = f"Events of version {VERSION} of CloudEvents are read here."
        raise invalid_field(_at(field, "specversion"), message, "invalid_choice", suggestion=VERSION)
    if "data_base64" in given:
        message = "Binary data cannot be published. Send the data as a JSON object in data."
        raise invalid_field(_at(field, "data_base64"), message, "unknown_field", suggestion="data")
    content = given.get("datacontenttype", JSON)
    if not (isinstance(content, str) and JSON_TYPE.fullmatch(content)):
        message = f"The data of an event is JSON here: leave datacontenttype out, or give {JSON}."
        raise invalid_field(_at(field, "datacontenttype"), message, "invalid_choice", suggestion=JSON)
    if not isinstance(given.get("data", {}), dict):
        message = 'The data of an event is a JSON object here. Put another value into one, as in {"value": 1}.'
        raise invalid_field(_at(field, "data"), message, "invalid_type")


def _check_attributes(attributes: Mapping[str, Any], field: str) -> None:
    for name, value in attributes.items():
        _check_attribute(name, value, _at(field, name))
    if len(msgspec.json.encode(attributes)) > EVENT_ATTRIBUTES_BYTES:
        message = f"The attributes of an event have at most {EVENT_ATTRIBUTES_BYTES // 1024} KiB, written as JSON."
        raise invalid_field(field, message, "too_long")


def _check_attribute(name: str, value: object, field: str) -> None:
    if name in NO_ATTRIBUTES or name == "data_base64":
        raise invalid_field(field, "Type and data of an event are its topic and its payload.", "unknown_field")
    if ATTRIBUTE_NAME.fullmatch(name) is None:
        message = "The name of an attribute consists of 1 to 64 of the characters a-z and 0-9."
        raise invalid_field(field, message, "invalid_name")
    longest = TEXTS.get(name)
    if longest is None:
        if not isinstance(value, str | bool | int):
            raise invalid_field(field, "An attribute is a text, a whole number, true or false.", "invalid_type")
    elif not isinstance(value, str):
        raise invalid_field(field, "This attribute is a text.", "invalid_type")
    elif not 1 <= len(value) <= longest:
        code = "too_long" if value else "required"
        raise invalid_field(field, f"This attribute has 1 to {longest} characters.", code)
    if name == "time":
        decode(value, Instant, field)


def _at(field: str, name: str) -> str:
    return f"{field}.{name}" if field else name


def publisher_key(attributes: Mapping[str, Attribute] | None) -> bytes | None:
    """What tells that two events of one agent are the same; None for those that can be told by nothing."""
    if attributes is None or "id" not in attributes or "source" not in attributes:
        return None
    return msgspec.json.encode([attributes["source"], attributes["id"]])
