"""Publishes an event: one transaction of the caller's writes it together with the work of every task that listens."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from shared.database.asking import Ask
from shared.database.statements import load_statements
from shared.events.event import Event, Published, check_event
from shared.events.listening import Listener, candidate_patterns, listening
from shared.telemetry.tracing import trace_id_in
from shared.timing.exclusions import Exclusion
from shared.vocabulary.ids import first_uuid7_at, occurrence_id

logger = structlog.get_logger(__name__)

SQL = load_statements("shared.events", "sql/events.sql")
MILLISECOND = timedelta(milliseconds=1)


async def publish(ask: Ask, event: Event, now: datetime | None = None) -> Published:
    """Raises Invalid or PayloadTooLarge. An event whose id was published before makes nothing, and answers as it did:
    the first of two publishers decides what it says."""
    check_event(event)
    listeners, at = await _listeners(ask, event, now)
    rows = await ask(SQL["insert_event"], *_columns(event, at, listeners))
    if not rows:
        return await find_published(ask, event.id)
    return Published(event, rows[0]["published_at"], len(listeners), is_new=True)


async def find_published(ask: Ask, event_id: UUID) -> Published:
    (row,) = await ask(SQL["find_event"], event_id)
    event, published_at = event_of(event_id, row), row["published_at"]
    first, after = first_uuid7_at(published_at), first_uuid7_at(published_at + MILLISECOND)
    (counted,) = await ask(SQL["count_listeners"], first, after, str(event_id))
    return Published(event, published_at, counted["listeners"], is_new=False)


def event_of(event_id: UUID, row: Mapping[str, Any]) -> Event:
    """Of a row of the table `event`, its payload as text."""
    return Event(
        id=event_id,
        topic=row["topic"],
        payload=msgspec.json.decode(row["payload"]),
        source_agent_id=row["source_agent_id"],
        published_by=row["published_by"],
        depth=row["depth"],
        traceparent=row["traceparent"],
    )


async def _listeners(ask: Ask, event: Event, now: datetime | None) -> tuple[list[Listener], datetime | None]:
    """Judged twice: as they are read, and again once nobody can change those that seemed to listen."""
    patterns = candidate_patterns(event.topic)
    if patterns is None:
        rows = await ask(SQL["list_listeners_to_long_topic"], event.topic, now)
    else:
        rows = await ask(SQL["list_listeners"], patterns, now)
    concerned = _judged(event, rows)
    if not concerned:
        return [], now
    held = await ask(SQL["hold_listeners"], [listener.id for listener in concerned], now)
    listeners = _judged(event, held)
    used_up = await _used_up(ask, listeners)
    return [listener for listener in listeners if listener.id not in used_up], rows[0]["now"]


def _judged(event: Event, rows: Sequence[Mapping[str, Any]]) -> Sequence[Listener]:
    if not rows:
        return []
    at: datetime = rows[0]["now"]
    heard = listening(event.seen_by_tasks(at), at, [_listener_of(row) for row in rows])
    for task_id, problem in heard.problems.items():
        logger.info("event_filter_failed", task_id=str(task_id), event_id=str(event.id), problem=problem)
    return heard.listeners


def _listener_of(row: Mapping[str, Any]) -> Listener:
    named = {name: row[name] for name in Listener.__struct_fields__}
    return Listener(**{**named, "exclusions": msgspec.json.decode(row["exclusions"], type=tuple[Exclusion, ...])})


async def _used_up(ask: Ask, listeners: Sequence[Listener]) -> set[UUID]:
    counted = [listener.id for listener in listeners if listener.max_runs is not None]
    return {row["id"] for row in await ask(SQL["list_used_up"], counted)} if counted else set()


def _columns(event: Event, at: datetime | None, listeners: Sequence[Listener]) -> tuple[object, ...]:
    ids = [occurrence_id(each.id, each.schedule_rev, at, f"event:{event.id}") for each in listeners if at is not None]
    return (
        *(event.id, event.topic, msgspec.json.encode(event.payload).decode(), event.source_agent_id),
        *(event.published_by, event.depth, event.traceparent, at, trace_id_in(event.traceparent), ids),
        [each.id for each in listeners],
        [each.agent_id for each in listeners],
        [each.schedule_rev for each in listeners],
        [each.priority for each in listeners],
        [each.concurrency_key for each in listeners],
    )
