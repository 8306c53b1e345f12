"""PURE: the occurrences that lie ahead of a task, and where one of them may be moved to."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from services.gateway.tasks.wire import SnoozeOptions
from shared.tasks.fields import in_utc
from shared.timing.exclusions import MICROSECOND
from shared.timing.occurrences import Planned, Plans, occurrences_from
from shared.timing.timetable import compile_timetable, timetable_of
from shared.vocabulary.faults import Invalid, invalid_field
from shared.vocabulary.limits import SNOOZE_SECONDS
from shared.vocabulary.states import ScheduleKind

LONGEST_SNOOZE = timedelta(seconds=SNOOZE_SECONDS)


def plans_of(task: Mapping[str, Any]) -> Plans:
    return Plans(task["id"], task["schedule_rev"], task["jitter_seconds"])


def ahead_of(task: Mapping[str, Any], start: datetime) -> Iterator[Planned]:
    """From `start` on, as many as may still run. `task`: its columns, with those of its cursor."""
    runs_left = None if task["max_runs"] is None else max(0, task["max_runs"] - task["runs_planned"])
    return occurrences_from(compile_timetable(timetable_of(task)), plans_of(task), start, runs_left)


def first_unsettled(ahead: Iterator[Planned], settled: Collection[UUID]) -> tuple[int, Planned | None]:
    """The first occurrence that neither waits nor has an outcome, and how many come before it."""
    passed = 0
    for occurrence in ahead:
        if occurrence.id not in settled:
            return passed, occurrence
        passed += 1
    return passed, None


def nominal_at(task: Mapping[str, Any], at: datetime) -> None:
    """Raises Invalid, with the nearest following occurrence, unless the schedule has one exactly then."""
    if task["schedule_kind"] == ScheduleKind.EVENT:
        raise _no_occurrence("A task that waits for events has no occurrences by the clock.", None)
    try:
        found = compile_timetable(timetable_of(task)).next_after(at - MICROSECOND)
    except OverflowError:
        found = None
    if found != at:
        message = "The schedule has no occurrence exactly then; `upcoming` lists those that it has."
        raise _no_occurrence(message, found)


def check_snooze(options: SnoozeOptions) -> None:
    if options.delay_seconds is None and options.until is None:
        message = "Say how long (delay_seconds) or until when (until)."
        raise invalid_field("delay_seconds", message, "required")
    if options.delay_seconds is not None and options.until is not None:
        raise invalid_field("until", "Give either delay_seconds or until, not both.", "invalid_choice")


def postponed(occurrence: Planned, options: SnoozeOptions, now: datetime) -> datetime:
    """When it runs instead: never before its nominal time. One that is late already is postponed from now on. Raises
    Invalid."""
    latest = max(occurrence.scheduled_for, now) + LONGEST_SNOOZE
    if options.delay_seconds is not None:
        field, run_at = "delay_seconds", max(occurrence.run_at, now) + timedelta(seconds=options.delay_seconds)
    else:
        field, run_at = "until", in_utc("until", options.until or now)
        if run_at <= now or run_at < occurrence.scheduled_for:
            message = "This must lie in the future, and not before the time of the occurrence."
            raise invalid_field(field, message, "out_of_range", suggestion=_text(occurrence.scheduled_for))
    if run_at > latest:
        message = f"An occurrence is postponed by at most {LONGEST_SNOOZE.days} days from its time on."
        raise invalid_field(field, message, "out_of_range")
    return run_at


def _no_occurrence(message: str, following: datetime | None) -> Invalid:
    suggestion = None if following is None else _text(following)
    return invalid_field("scheduled_for", message, "not_an_occurrence", suggestion=suggestion)


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
