"""Events as they are sent and answered."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias
from uuid import UUID

import msgspec

from shared.events.event import Attribute
from shared.vocabulary.limits import EVENTS_PER_BATCH, EVENTS_REPLAYED

Attributes: TypeAlias = dict[str, Attribute]
Instant: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]


class EventCreate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`topic` has no bounds here, so that every topic is refused in its own words. `source_agent_id`: the agent from
    which the event comes; only an admin may name another than itself. `attributes`: what CloudEvents calls its context
    beside type and data: `id`, `source`, `subject`, `time`, `dataschema` and extensions. An agent's event with the same
    `id` and `source` as one before is that one."""

    topic: str
    payload: dict[str, Any] = {}
    source_agent_id: UUID | None = None
    attributes: Attributes | None = None


class EventBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All are published, in this order, or none."""

    events: Annotated[list[EventCreate], msgspec.Meta(min_length=1, max_length=EVENTS_PER_BATCH)]


class CloudEvent(msgspec.Struct, frozen=True):
    """An event in the JSON format of CloudEvents 1.0. `type` is the topic, `data` the payload; the other attributes,
    extensions among them, are kept as `attributes`."""

    specversion: str
    id: str
    source: str
    type: str
    data: dict[str, Any] = {}
    subject: str | None = None
    time: str | None = None
    datacontenttype: str | None = None
    dataschema: str | None = None


class EventPublished(msgspec.Struct, frozen=True):
    """`listeners`: how many tasks run because of it. `source_agent_id`: the agent from which it comes; `published_by`
    names who published it."""

    id: UUID
    topic: str
    listeners: int
    published_at: datetime
    depth: int
    source_agent_id: UUID
    published_by: str | None


class EventsPublished(msgspec.Struct, frozen=True):
    """In the order in which they were given. `listeners`: of all together."""

    events: list[EventPublished]
    listeners: int


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """`depth`: how many events led to this one. `attributes`: as in CloudEvents, if it came with any. Of many large
    payloads the older ones are left out: `is_payload_omitted` says so; ask for fewer events to see them."""

    id: UUID
    topic: str
    payload: Any
    is_payload_omitted: bool
    attributes: Attributes | None
    source_agent_id: UUID
    published_by: str | None
    published_at: datetime
    depth: int


class TopicView(msgspec.Struct, frozen=True, kw_only=True):
    """A topic, or a pattern that tasks wait for. `listeners`: the active tasks that an event with this topic concerns,
    whatever their filters say; of a pattern, those that wait for exactly it. `own_listeners`: those of the caller.
    `published`: events of the last 24 hours, exactly up to 1,000; `is_published_capped` says that there are more."""

    topic: str
    is_pattern: bool
    listeners: int
    own_listeners: int
    published: int
    is_published_capped: bool
    last_published_at: datetime | None


class EventsRemoved(msgspec.Struct, frozen=True):
    """`before`: what was published earlier is removed. `has_more`: ask again for the rest."""

    removed: int
    before: datetime
    has_more: bool


class EventReplay(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}
):
    """Past events for one task: those published from `from` until before `to` (now), which its own pattern and filter
    cover, and `topic`, if one is given. `ignore_filter`: `topic` alone decides (left out: the pattern of the task).
    `dry_run`: only count."""

    task_id: UUID
    since: Instant
    until: Instant | None = None
    topic: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=EVENTS_REPLAYED)] = 100
    ignore_filter: bool = False
    dry_run: bool = False


class EventsReplayed(msgspec.Struct, frozen=True, kw_only=True):
    """`replayed`: the events, each of which became one run; in a dry run: would have become. `run_ids`: the first 100
    of them, in the order in which the events were published. `next_from`: the `from` with which to go on, if there are
    more."""

    task_id: UUID
    replayed: int
    run_ids: list[UUID]
    is_dry_run: bool
    has_more: bool
    next_from: datetime | None
