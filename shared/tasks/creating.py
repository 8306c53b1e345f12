"""Creates a task: judged first, then written with its cursor in one round trip."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from shared.database.asking import Ask
from shared.database.statements import load_statements
from shared.outbound.addresses import AddressPolicy
from shared.tasks.event_schedule import check_event_filter
from shared.tasks.execution import check_execution
from shared.tasks.fields import clean_title, distinct, in_utc
from shared.tasks.schedule import accept
from shared.tasks.wanted import TaskCreate
from shared.timing.timetable import timetable_of
from shared.vocabulary.faults import Conflict, FieldFault

SQL = load_statements("shared.tasks", "sql/tasks.sql")
DEDUPE_KEY_TAKEN = "task_agent_id_dedupe_key_key"


class Accepted(msgspec.Struct, frozen=True):
    """`task` in the form in which it is stored. `first_at` is None for a task that waits for events."""

    task: TaskCreate
    anchor_at: datetime
    first_at: datetime | None


def accept_task(wanted: TaskCreate, now: datetime, policy: AddressPolicy, shortest_interval_seconds: int) -> Accepted:
    """Raises Invalid. Takes up to half a second."""
    return accept_judged(judge_task(wanted, policy), now, shortest_interval_seconds)


def judge_task(wanted: TaskCreate, policy: AddressPolicy) -> TaskCreate:
    """In the form in which it is stored, if it can be executed: that is the same at any time. Raises Invalid."""
    task = cleaned(wanted)
    plain = msgspec.to_builtins(task)
    check_execution(plain, plain, policy)
    return task


def accept_judged(task: TaskCreate, now: datetime, shortest_interval_seconds: int) -> Accepted:
    """Raises Invalid."""
    anchor_at = now.replace(microsecond=0)
    timetable = timetable_of({**msgspec.structs.asdict(task), "anchor_at": anchor_at})
    first_at = accept(timetable, now, shortest_interval_seconds)
    check_event_filter(task.schedule_kind, task.event_filter)
    return Accepted(task, anchor_at, first_at)


async def insert_task(ask: Ask, task_id: UUID, owner_id: UUID, accepted: Accepted, traceparent: str | None) -> datetime:
    """When it was created. A dedupe_key that is taken violates DEDUPE_KEY_TAKEN, in the driver's own error."""
    task = accepted.task
    values = (
        *(task_id, owner_id, task.title, task.description, task.schedule_kind, task.schedule_expr, task.timezone),
        *(accepted.anchor_at, _text(task.payload), task.priority, task.dedupe_key, task.dedupe_window_seconds),
        *(task.max_retries, task.backoff_strategy, task.timeout_seconds, task.concurrency_key, task.overlap_policy),
        *(task.misfire_policy, task.misfire_window_seconds, task.jitter_seconds, task.starts_at, task.ends_at),
        *(task.max_runs, _text(task.exclusions), task.event_filter, task.tags, traceparent, accepted.first_at),
        *(task.concurrency_limit, _text(task.rate_limit), task.expires_after_seconds, _text(task.on_success)),
        *(_text(task.on_failure), task.pause_after_failures),
    )
    rows = await ask(SQL["insert_task"], *values)
    created_at: datetime = rows[0]["created_at"]
    return created_at


async def insert_tasks(
    ask: Ask, tasks: Sequence[tuple[UUID, UUID, Accepted]], traceparent: str | None
) -> Mapping[UUID, datetime]:
    """Each with its id and its owner's; those of an agent with keys that differ. When each was created; one whose
    dedupe_key is taken is left out."""
    rows = [_row(task_id, owner_id, accepted, traceparent) for task_id, owner_id, accepted in tasks]
    made = await ask(SQL["insert_tasks"], msgspec.json.encode(rows).decode())
    return {row["id"]: row["created_at"] for row in made}


def dedupe_key_taken(field: str | None = None) -> Conflict:
    """`field`: where the key is, among several."""
    message = "An active or paused task of this agent has the same dedupe_key."
    wrong = [] if field is None else [FieldFault(field, message, "already_exists")]
    return Conflict(message, error_code="already_exists", validation_errors=wrong)


def cleaned(task: TaskCreate) -> TaskCreate:
    """The values in the form in which they are stored. Raises Invalid."""
    return msgspec.structs.replace(
        task,
        title=clean_title(task.title),
        tags=distinct(task.tags),
        starts_at=None if task.starts_at is None else in_utc("starts_at", task.starts_at),
        ends_at=None if task.ends_at is None else in_utc("ends_at", task.ends_at),
    )


def _row(task_id: UUID, owner_id: UUID, accepted: Accepted, traceparent: str | None) -> dict[str, Any]:
    columns = msgspec.structs.asdict(accepted.task)
    del columns["created_by"]
    return {
        **columns,
        "id": task_id,
        "agent_id": owner_id,
        "anchor_at": accepted.anchor_at,
        "first_at": accepted.first_at,
        "traceparent": traceparent,
    }


def _text(value: object) -> str | None:
    """NULL for what is absent, which `null` in JSON is not."""
    return None if value is None else msgspec.json.encode(value).decode()
