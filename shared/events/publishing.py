"""Publishes events: one transaction of the caller's writes them together with the work of every task that listens."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

import msgspec
import structlog

from shared.database.asking import Ask
from shared.database.statements import load_statements
from shared.events.event import Attribute, Event, Published, check_event
from shared.events.listening import Listener, candidate_patterns, listening, patterns_by_topic
from shared.telemetry.tracing import trace_id_in
from shared.timing.exclusions import Exclusion
from shared.vocabulary.faults import Invalid
from shared.vocabulary.ids import first_uuid7_at, occurrence_id

logger = structlog.get_logger(__name__)

SQL = load_statements("shared.events", "sql/events.sql")
MILLISECOND, MICROSECOND = timedelta(milliseconds=1), timedelta(microseconds=1)
# More patterns than these are not looked up one by one.
PATTERNS_ENUMERATED = 20_000
# What one transaction writes in about a second. One event alone reaches all who listen, however many they are.
RUNS_PER_BATCH = 10_000
# Nothing else runs while filters do.
EVENTS_AT_A_STRETCH = 50

Listeners: TypeAlias = Sequence[Listener]


class Audience(msgspec.Struct, frozen=True):
    """For each event, in their order, who hears it. `at`: the time of the first; None where nobody listens to any."""

    at: datetime | None
    listeners: Sequence[Listeners]


async def publish(ask: Ask, event: Event, now: datetime | None = None) -> Published:
    """Raises Invalid or PayloadTooLarge. An event whose id was published before makes nothing, and answers as it did:
    the first of two publishers decides what it says."""
    (published,) = await publish_all(ask, [event], now)
    return published


async def publish_all(ask: Ask, events: Sequence[Event], now: datetime | None = None) -> list[Published]:
    """The same for several with different ids: in their order, a microsecond apart, and all or none."""
    for event in events:
        check_event(event)
    audience = await _audience(ask, events, now)
    rows = await ask(SQL["insert_events"], *_columns(events, audience))
    made = {row["id"]: row["published_at"] for row in rows}
    return [
        Published(event, made[event.id], len(listeners), is_new=True)
        if event.id in made
        else await find_published(ask, event.id)
        for event, listeners in zip(events, audience.listeners, strict=True)
    ]


async def find_published(ask: Ask, event_id: UUID) -> Published:
    (row,) = await ask(SQL["find_event"], event_id)
    event, published_at = event_of(event_id, row), row["published_at"]
    first, after = first_uuid7_at(published_at), first_uuid7_at(published_at + MILLISECOND)
    (counted,) = await ask(SQL["count_listeners"], first, after, str(event_id))
    return Published(event, published_at, counted["listeners"], is_new=False)


def event_of(event_id: UUID, row: Mapping[str, Any]) -> Event:
    """Of a row of the table `event`, its JSON as text."""
    attributes = row["attributes"]
    return Event(
        id=event_id,
        topic=row["topic"],
        payload=msgspec.json.decode(row["payload"]),
        source_agent_id=row["source_agent_id"],
        published_by=row["published_by"],
        depth=row["depth"],
        traceparent=row["traceparent"],
        attributes=None if attributes is None else msgspec.json.decode(attributes, type=dict[str, Attribute]),
    )


async def _audience(ask: Ask, events: Sequence[Event], now: datetime | None) -> Audience:
    """Judged as they are read; and again, where a task has changed since, once nobody can change those that listen."""
    rows = await _candidates(ask, {event.topic for event in events}, now)
    if not rows:
        return Audience(now, [()] * len(events))
    at: datetime = rows[0]["now"]
    heard = await _judged(events, at, [_listener_of(row) for row in rows])
    concerned = {listener.id: listener for listeners in heard for listener in listeners}
    if not concerned:
        return Audience(now, [()] * len(events))
    held = {row["id"]: _listener_of(row) for row in await ask(SQL["hold_listeners"], [*concerned], now)}
    if held != concerned:
        heard = await _judged(events, at, [*held.values()])
    heard = await _within_max_runs(ask, heard, held)
    if len(events) > 1 and sum(map(len, heard)) > RUNS_PER_BATCH:
        raise _too_many_runs()
    return Audience(at, heard)


async def _candidates(ask: Ask, topics: set[str], now: datetime | None) -> Sequence[Mapping[str, Any]]:
    enumerated = [candidate_patterns(topic) for topic in topics]
    patterns = {pattern for some in enumerated for pattern in some or ()}
    if None in enumerated or len(patterns) > PATTERNS_ENUMERATED:
        return await ask(SQL["list_listeners_to_any"], [*topics], now)
    return await ask(SQL["list_listeners"], [*patterns], now)


async def _judged(events: Sequence[Event], at: datetime, tasks: Listeners) -> Sequence[Listeners]:
    by_pattern: dict[str, list[Listener]] = {}
    for task in tasks:
        by_pattern.setdefault(task.schedule_expr, []).append(task)
    covering = patterns_by_topic({event.topic for event in events}, by_pattern)
    spent: dict[UUID, float] = {}
    heard = []
    for place, event in enumerate(events):
        nearby = [task for pattern in covering[event.topic] for task in by_pattern[pattern]]
        heard.append(_listening(event, at + place * MICROSECOND, nearby, spent) if nearby else ())
        if nearby and (place + 1) % EVENTS_AT_A_STRETCH == 0:
            await asyncio.sleep(0)
    return heard


def _listening(event: Event, at: datetime, tasks: Listeners, spent: dict[UUID, float]) -> Listeners:
    heard = listening(event.seen_by_tasks(at), at, tasks, spent)
    for task_id, problem in heard.problems.items():
        logger.info("event_filter_failed", task_id=str(task_id), event_id=str(event.id), problem=problem)
    return heard.listeners


def _listener_of(row: Mapping[str, Any]) -> Listener:
    named = {name: row[name] for name in Listener.__struct_fields__}
    return Listener(**{**named, "exclusions": msgspec.json.decode(row["exclusions"], type=tuple[Exclusion, ...])})


async def _within_max_runs(ask: Ask, heard: Sequence[Listeners], held: Mapping[UUID, Listener]) -> Sequence[Listeners]:
    counted = [listener.id for listener in held.values() if listener.max_runs is not None]
    if not counted:
        return heard
    left = {row["id"]: row["runs_left"] for row in await ask(SQL["count_runs_left"], counted)}

    def takes_one(listener: Listener) -> bool:
        if listener.id not in left:
            return True
        left[listener.id] -= 1
        return bool(left[listener.id] >= 0)

    return [[listener for listener in listeners if takes_one(listener)] for listeners in heard]


def _columns(events: Sequence[Event], audience: Audience) -> tuple[object, ...]:
    at = audience.at
    works = []
    if at is not None:
        for place, (event, listeners) in enumerate(zip(events, audience.listeners, strict=True)):
            published_at = at + place * MICROSECOND
            works += [(event, listener, _run_id(event, listener, published_at)) for listener in listeners]
    return (
        [event.id for event in events],
        [event.topic for event in events],
        [_as_text(event.payload) for event in events],
        [event.source_agent_id for event in events],
        [event.published_by for event in events],
        [event.depth for event in events],
        [event.traceparent for event in events],
        [None if event.attributes is None else _as_text(event.attributes) for event in events],
        at,
        [run_id for _, _, run_id in works],
        [event.id for event, _, _ in works],
        [listener.id for _, listener, _ in works],
        [listener.agent_id for _, listener, _ in works],
        [listener.schedule_rev for _, listener, _ in works],
        [listener.priority for _, listener, _ in works],
        [listener.concurrency_key for _, listener, _ in works],
        [trace_id_in(event.traceparent) for event, _, _ in works],
    )


def _run_id(event: Event, listener: Listener, published_at: datetime) -> UUID:
    return occurrence_id(listener.id, listener.schedule_rev, published_at, f"event:{event.id}")


def _as_text(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _too_many_runs() -> Invalid:
    message = f"These events would make more than {RUNS_PER_BATCH} runs together. Publish fewer of them at once."
    return Invalid(message, error_code="out_of_range")
