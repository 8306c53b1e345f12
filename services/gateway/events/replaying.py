"""Gives past events to one task: each becomes a run of it, as if it had just been published."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.events import repository
from services.gateway.events.repository import LAST_ID, Place, ReplayedTo
from services.gateway.events.topics import find_topics
from services.gateway.events.wire import EventReplay, EventsReplayed
from services.gateway.http.act import Act
from shared.events.event import Event
from shared.events.listening import Listener, listening
from shared.streams.doorbell import Bell
from shared.tasks.fields import in_utc
from shared.vocabulary.faults import Conflict, Forbidden, NotFound, invalid_field
from shared.vocabulary.ids import occurrence_id
from shared.vocabulary.limits import TOPICS_SHOWN
from shared.vocabulary.states import ScheduleKind, TaskStatus
from shared.vocabulary.topics import matches, problem_of_pattern

EVENTS_READ_AT_ONCE = 500
# Of a range in which few are wanted, one call looks no further.
EVENTS_LOOKED_AT = 10_000
RUN_IDS_SHOWN = 100
RANGE_DAYS = 366
MICROSECOND = timedelta(microseconds=1)


class Chosen(msgspec.Struct, frozen=True):
    """`next_from`: where what was not looked at begins, if there is any."""

    events: Sequence[tuple[Event, datetime]]
    next_from: datetime | None


class Replaying:
    async def replay(self, connection: AsyncConnection, act: Act, wanted: EventReplay) -> EventsReplayed:
        """A second call makes new runs: an Idempotency-Key tells that it is the same one."""
        _check_pattern(wanted.topic)
        task = await _held(connection, act, wanted.task_id)
        since, until = _range(wanted, task.now)
        topics = await _topics(connection, wanted, task)
        chosen = await _choose(connection, _judge(task, wanted), topics, (since, until), wanted.limit)
        run_ids = [] if wanted.dry_run else await _run(connection, act, task, chosen.events)
        if run_ids:
            details = {"events": len(run_ids), "topic": wanted.topic, "from": since, "to": until}
            await record(connection, act, Action.TASK_EVENTS_REPLAYED, task.id, details)
            act.ring(Bell.DUE_WORK, len(run_ids))
        return EventsReplayed(
            task_id=task.id,
            replayed=len(chosen.events),
            run_ids=run_ids[:RUN_IDS_SHOWN],
            is_dry_run=wanted.dry_run,
            has_more=chosen.next_from is not None,
            next_from=chosen.next_from,
        )


async def _held(connection: AsyncConnection, act: Act, task_id: UUID) -> ReplayedTo:
    task = await repository.hold_task(connection, task_id, act.caller.owner_filter)
    if task is None:
        raise NotFound("There is no such task.")
    if task.schedule_kind != ScheduleKind.EVENT:
        message = "Events are replayed to a task with schedule_kind event; this one has another."
        raise Conflict(message, error_code="not_an_event_task")
    if task.status != TaskStatus.ACTIVE:
        raise Conflict(f"The task is {task.status}; this needs an active one.", error_code="task_not_active")
    if not task.may_read:
        message = "The owner of the task is disabled or may not read events (any more)."
        raise Forbidden(message, error_code="insufficient_scope")
    return task


def _check_pattern(topic: str | None) -> None:
    problem = None if topic is None else problem_of_pattern(topic)
    if problem is not None:
        raise invalid_field(
            "topic", problem.message, "invalid_topic", position=problem.position, suggestion=problem.suggestion
        )


def _range(wanted: EventReplay, now: datetime) -> tuple[datetime, datetime]:
    since = in_utc("from", wanted.since)
    until = now if wanted.until is None else in_utc("to", wanted.until)
    if since >= until:
        raise invalid_field("from", "The range must begin before it ends.", "out_of_range")
    if until - since > timedelta(days=RANGE_DAYS):
        raise invalid_field("from", f"A range has at most {RANGE_DAYS} days.", "out_of_range")
    return since, until


async def _topics(connection: AsyncConnection, wanted: EventReplay, task: ReplayedTo) -> list[str]:
    pattern = wanted.topic or task.schedule_expr
    topics = await find_topics(connection, pattern)
    if topics is None:
        message = f"More than {TOPICS_SHOWN} topics begin so. Write more names before the first *."
        raise invalid_field("topic", message, "out_of_range")
    return topics if wanted.ignore_filter else [topic for topic in topics if matches(task.schedule_expr, topic)]


def _judge(task: ReplayedTo, wanted: EventReplay) -> Listener:
    """As the task listens; when it may run by itself says nothing about what is asked for by hand."""
    return Listener(
        id=task.id,
        agent_id=task.agent_id,
        schedule_rev=task.schedule_rev,
        priority=task.priority,
        concurrency_key=task.concurrency_key,
        schedule_expr=(wanted.topic or task.schedule_expr) if wanted.ignore_filter else task.schedule_expr,
        event_filter=None if wanted.ignore_filter else task.event_filter,
    )


async def _choose(
    connection: AsyncConnection, judge: Listener, topics: list[str], span: tuple[datetime, datetime], limit: int
) -> Chosen:
    """In the order of publishing, those published from the first instant until before the second."""
    after, until = Place(span[0] - MICROSECOND, LAST_ID), span[1]
    chosen: list[tuple[Event, datetime]] = []
    spent: dict[UUID, float] = {}
    for _ in range(EVENTS_LOOKED_AT // EVENTS_READ_AT_ONCE):
        found = await repository.list_range(connection, topics, after, until, EVENTS_READ_AT_ONCE)
        for event, at in found:
            if not listening(event.seen_by_tasks(at), at, [judge], spent).listeners:
                continue
            if len(chosen) == limit:
                return Chosen(chosen, at)
            chosen.append((event, at))
        if len(found) < EVENTS_READ_AT_ONCE:
            return Chosen(chosen, None)
        after = Place(found[-1][1], found[-1][0].id)
    return Chosen(chosen, after.published_at + MICROSECOND)


async def _run(
    connection: AsyncConnection, act: Act, task: ReplayedTo, events: Sequence[tuple[Event, datetime]]
) -> list[UUID]:
    """A microsecond apart, so that the queue keeps their order."""
    replay_id, runs = uuid4(), []
    for place, (event, published_at) in enumerate(events):
        at = task.now + place * MICROSECOND
        run_id = occurrence_id(task.id, task.schedule_rev, at, f"backfill:{replay_id}:{event.id}")
        runs.append((run_id, at, msgspec.json.encode(event.seen_by_tasks(published_at)).decode()))
    if runs:
        await repository.insert_replayed(connection, task, runs, traceparent=act.traceparent, trace_id=act.trace_id)
    return [run_id for run_id, _, _ in runs]
