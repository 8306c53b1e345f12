"""What can be done with one occurrence of a task, and with no other: let it run later, or not at all."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.tasks import waiting
from services.gateway.tasks.ahead import ahead_of, check_snooze, first_unsettled, nominal_at, plans_of, postponed
from services.gateway.tasks.standing import check_active, locked
from services.gateway.tasks.wire import SkipOptions, SnoozeOptions
from shared.streams.doorbell import Bell
from shared.tasks.fields import in_utc
from shared.timing.occurrences import Planned
from shared.vocabulary.faults import Conflict, invalid_field
from shared.vocabulary.limits import SKIP_DAYS
from shared.vocabulary.states import RunStatus, ScheduleKind, SkipReason

MICROSECOND = timedelta(microseconds=1)


class OccurrenceActions:
    async def snooze(self, connection: AsyncConnection, act: Act, task_id: UUID, options: SnoozeOptions) -> ActionDone:
        """The occurrence that waits next; when none waits, the next one that is planned."""
        check_snooze(options)
        task = await locked(connection, act, task_id)
        check_active(task)
        occurrence = await waiting.lock_pending(connection, task)
        if occurrence is not None:
            run_at = postponed(occurrence, options, task["now"])
            await waiting.postpone(connection, occurrence.id, run_at)
        else:
            occurrence, run_at = await _materialise_next(connection, task, options)
        await record(connection, act, Action.TASK_SNOOZED, task_id, _told(occurrence, run_at, options.reason))
        act.ring(Bell.TASK_CHANGES)
        if run_at <= task["now"]:
            act.ring(Bell.DUE_WORK)
        details = {"run_id": occurrence.id, "scheduled_for": occurrence.scheduled_for, "run_at": run_at}
        return ActionDone("The next occurrence runs later.", {"task_id": task_id, **details})

    async def skip(self, connection: AsyncConnection, act: Act, task_id: UUID, options: SkipOptions) -> ActionDone:
        """Asked for twice, it changes nothing the second time."""
        at = in_utc("scheduled_for", options.scheduled_for)
        task = await locked(connection, act, task_id)
        check_active(task)
        nominal_at(task, at)
        if at > task["now"] + timedelta(days=SKIP_DAYS):
            message = f"An occurrence can be skipped at most {SKIP_DAYS} days ahead; an exclusion reaches further."
            raise invalid_field("scheduled_for", message, "out_of_range")
        run_id = plans_of(task).identity(at)
        details = {"task_id": task_id, "run_id": run_id, "scheduled_for": at}
        if await _is_skipped_already(connection, task, run_id, at):
            return ActionDone("The occurrence is skipped already.", details)
        await waiting.skip(connection, task, run_id, at)
        await _pass_over_settled(connection, task)
        told = {"run_id": str(run_id), "scheduled_for": at, "reason": options.reason}
        await record(connection, act, Action.TASK_OCCURRENCE_SKIPPED, task_id, told)
        act.ring(Bell.TASK_CHANGES)
        act.tell_run(run_id, RunStatus.SKIPPED)
        return ActionDone("The occurrence is skipped.", details)


async def _materialise_next(
    connection: AsyncConnection, task: Mapping[str, Any], options: SnoozeOptions
) -> tuple[Planned, datetime]:
    """Before its time, as the scheduler would: its cursor goes on to the time after it. What was missed stays with the
    scheduler, and so does the cursor then: it will come to an occurrence that exists, and pass it over."""
    if task["cursor_at"] is None or task["schedule_kind"] == ScheduleKind.EVENT:
        raise _nothing_to_snooze()
    start = max(task["cursor_at"], task["now"] + MICROSECOND)
    ahead = ahead_of(task, start)
    settled = await waiting.settled_from(connection, task["id"], start)
    passed, occurrence = first_unsettled(ahead, settled)
    if occurrence is None:
        raise _nothing_to_snooze()
    run_at = postponed(occurrence, options, task["now"])
    await waiting.insert_planned(connection, task, occurrence, run_at)
    if start == task["cursor_at"]:
        await _move_on(connection, task, ahead, settled, passed + 1)
    return occurrence, run_at


async def _pass_over_settled(connection: AsyncConnection, task: Mapping[str, Any]) -> None:
    """So that a cursor does not point to an occurrence which will not be."""
    if task["cursor_at"] is None or task["cursor_at"] <= task["now"]:
        return
    settled = await waiting.settled_from(connection, task["id"], task["cursor_at"])
    if plans_of(task).identity(task["cursor_at"]) in settled:
        await _move_on(connection, task, ahead_of(task, task["cursor_at"]), settled, 0)


async def _move_on(
    connection: AsyncConnection, task: Mapping[str, Any], ahead: Iterator[Planned], settled: set[UUID], passed: int
) -> None:
    more, following = first_unsettled(ahead, settled)
    next_at = None if following is None else following.scheduled_for
    await waiting.move_cursor(connection, task["id"], next_at, passed + more)


async def _is_skipped_already(connection: AsyncConnection, task: Mapping[str, Any], run_id: UUID, at: datetime) -> bool:
    """False for what can be skipped. Raises Conflict for what was started or settled otherwise, or lies in the past."""
    is_started = await waiting.is_started(connection, run_id, task["now"])
    outcome = await waiting.find_outcome(connection, run_id)
    if outcome is not None and outcome.skip_reason == SkipReason.SKIPPED_BY_REQUEST:
        return True
    if is_started or (outcome is not None and outcome.is_final):
        status = RunStatus.RUNNING if outcome is None else outcome.status
        message = f"The occurrence cannot be skipped any more: its run is {status}."
        raise Conflict(message, error_code="already_started")
    is_ahead = task["cursor_at"] is not None and at >= task["cursor_at"]
    if is_started is None and not is_ahead and at <= task["now"]:
        raise Conflict("The time of the occurrence has passed, and nothing of it waits.", error_code="already_started")
    return False


def _told(occurrence: Planned, run_at: datetime, reason: str | None) -> dict[str, Any]:
    changed = {"run_at": {"before": occurrence.run_at, "after": run_at}}
    told = {"run_id": str(occurrence.id), "scheduled_for": occurrence.scheduled_for}
    return {**told, "changed": changed, "reason": reason}


def _nothing_to_snooze() -> Conflict:
    message = "No occurrence of the task lies ahead that could be postponed."
    return Conflict(message, error_code="nothing_to_snooze")
