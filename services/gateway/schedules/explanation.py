"""PURE: why a task did, or did not, run around a time."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from services.gateway.schedules.facts import Facts, Run
from services.gateway.schedules.outlook import local, planned
from services.gateway.schedules.sentences import (
    REASONS_OF_STATUS,
    instant,
    why_excluded,
    why_pending,
    why_run,
    words_of_task,
)
from services.gateway.schedules.wire import ExplainedItem, Explanation
from services.gateway.schedules.words import What
from shared.timing.exclusions import MICROSECOND, Blackouts, compile_exclusions
from shared.timing.fault import ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.timing.timetable import timetable_of
from shared.timing.zones import load_zone
from shared.vocabulary.states import ScheduleKind, TaskStatus

# Steps of a search for what came before; a schedule yields forward only.
STEPS_MAX = 20_000
RUNS_COUNTED = 1000
SHORTEST_SPAN = timedelta(minutes=1)

# What became of an occurrence, and why.
Verdict = tuple[What, str]


def explain(task: Mapping[str, Any], facts: Facts, at: datetime, limit: int) -> Explanation:
    """`limit` occurrences up to `at` and as many after it."""
    zone = load_zone(task["timezone"])
    items = [_of_run(run, task, facts) for run in facts.runs] + _pending(task, facts)
    known = {item.scheduled_for for item in items}
    judge = Judge(task, facts)
    for time in _nominal_times(task, at, limit):
        if time not in known:
            what, why = judge.verdict(time)
            items.append(ExplainedItem(time, local(time, zone), None, what, why))
    items.sort(key=lambda item: item.scheduled_for)
    before = [item for item in items if item.scheduled_for <= at]
    after = [item for item in items if item.scheduled_for > at]
    return Explanation(task["id"], at, words_of_task(task), before[-limit:] + after[:limit])


class Judge:
    """Judges nominal times of which there is neither a run nor waiting work."""

    def __init__(self, task: Mapping[str, Any], facts: Facts) -> None:
        self._task = task
        self._facts = facts
        self._blackouts: Blackouts = compile_exclusions(timetable_of(task).exclusions, load_zone(task["timezone"]))
        self._last_allowed = _last_allowed(task)

    def verdict(self, time: datetime) -> Verdict:
        excluded = why_excluded(self._task, self._blackouts, time)
        if excluded is not None:
            return What.EXCLUDED, excluded
        return self._ahead(time) if time > self._task["now"] else self._passed(time)

    def _ahead(self, time: datetime) -> Verdict:
        status = TaskStatus(self._task["status"])
        if status != TaskStatus.ACTIVE:
            return What.NOT_PLANNED, words_of_task(self._task)
        if self._last_allowed is not None and time > self._last_allowed:
            return What.NOT_PLANNED, f"The task runs {self._task['max_runs']} times at most (max_runs)."
        return What.PLANNED, "It is put into the queue shortly before its time."

    def _passed(self, time: datetime) -> Verdict:
        status, since = self._facts.status_at(time)
        if status != TaskStatus.ACTIVE and since is not None:
            return What.NOT_PLANNED, f"{REASONS_OF_STATUS[status]} since {instant(since)}."
        changed_at = self._facts.next_schedule_change(time)
        if changed_at is not None:
            return What.NOT_PLANNED, f"The task had another schedule then: it was changed at {instant(changed_at)}."
        cursor_at = self._task["cursor_at"]
        if cursor_at is not None and cursor_at <= time:
            return (
                What.PLANNED,
                "Its time has come, and no scheduler has come to it yet; the misfire policy will decide.",
            )
        return (
            What.NOT_PLANNED,
            "No run of it is recorded: it was taken back before its time, or its record is removed.",
        )


def _of_run(run: Run, task: Mapping[str, Any], facts: Facts) -> ExplainedItem:
    run_at = next((work.run_at for work in facts.waiting if work.id == run.id), None)
    time = local(run.scheduled_for, load_zone(task["timezone"]))
    return ExplainedItem(run.scheduled_for, time, run.id, What(run.status), why_run(run, task, run_at))


def _pending(task: Mapping[str, Any], facts: Facts) -> list[ExplainedItem]:
    """What waits and has no run yet."""
    with_run = {run.id for run in facts.runs}
    zone = load_zone(task["timezone"])
    return [
        ExplainedItem(
            work.scheduled_for, local(work.scheduled_for, zone), work.id, What.PENDING, why_pending(work, task)
        )
        for work in facts.waiting
        if work.id not in with_run and work.is_pending
    ]


def _nominal_times(task: Mapping[str, Any], at: datetime, limit: int) -> list[datetime]:
    """Also those that a bound or a blackout leaves out. None before the task existed, none of a bad schedule."""
    if task["schedule_kind"] == ScheduleKind.EVENT:
        return []
    timetable = timetable_of(task)
    try:
        schedule = compile_schedule(
            timetable.schedule_kind, timetable.schedule_expr, timetable.timezone, anchor=timetable.anchor_at
        )
    except ScheduleFault:
        return []
    after = _times_after(schedule, max(at, task["created_at"]))
    return [*_last_times(schedule, task["created_at"], at, limit), *islice(after, limit)]


def _times_after(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    at = schedule.next_after(start)
    while at is not None:
        yield at
        at = schedule.next_after(at)


def _last_times(schedule: Schedule, earliest: datetime, until: datetime, count: int) -> Sequence[datetime]:
    """The last ones in `earliest … until`, sought in ever longer spans."""
    span = max(SHORTEST_SPAN, count * _gap_after(schedule, until))
    while True:
        start = max(earliest, until - span) if span < until - earliest else earliest
        found: deque[datetime] = deque(maxlen=count)
        for at in islice(_times_after(schedule, start - MICROSECOND), STEPS_MAX):
            if at > until:
                break
            found.append(at)
        if len(found) == count or start == earliest:
            return found
        span *= 4


def _gap_after(schedule: Schedule, instant: datetime) -> timedelta:
    first, second = [*islice(_times_after(schedule, instant), 2), None, None][:2]
    return timedelta(days=1) if first is None or second is None else second - first


def _last_allowed(task: Mapping[str, Any]) -> datetime | None:
    """The time of the last run that max_runs allows; None when it is far away, or there is no such bound."""
    if task["max_runs"] is None or task["max_runs"] - task["runs_planned"] > RUNS_COUNTED:
        return None
    times = [occurrence.scheduled_for for occurrence in planned(task)]
    return times[-1] if times else task["now"]
