"""PURE: one sentence on each thing that can become of an occurrence, naming the rule."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.gateway.schedules.facts import Run, Waiting
from shared.timing.exclusions import Blackouts
from shared.vocabulary.states import RunStatus, SkipReason, Source, TaskStatus

MESSAGE_CHARACTERS = 200
REASONS_OF_STATUS = {
    TaskStatus.ACTIVE: "The task was active",
    TaskStatus.PAUSED: "The task was paused",
    TaskStatus.CANCELED: "The task was canceled",
    TaskStatus.COMPLETED: "The task was completed",
}
REASONS: Mapping[str, str] = {
    SkipReason.MISFIRE_COALESCED: "Its time had passed while no scheduler worked; of what was missed only the latest"
    " runs (misfire_policy latest).",
    SkipReason.MISFIRE_TOO_OLD: "Its time had passed by more than misfire_window_seconds ({window} s) when a scheduler"
    " came to it.",
    SkipReason.MISFIRE_SKIPPED: "Its time had passed while no scheduler worked (misfire_policy skip).",
    SkipReason.MISFIRE_OVER_CAP: "Its time had passed while no scheduler worked, and more was missed than is made up"
    " for (misfire_policy all).",
    SkipReason.TASK_PAUSED: "The task was paused before it ran.",
    SkipReason.TASK_CANCELED: "The task was canceled before it ran.",
    SkipReason.SCHEDULE_CHANGED: "The schedule was changed before it ran.",
    SkipReason.SKIPPED_BY_REQUEST: "Somebody asked to skip exactly this occurrence.",
    SkipReason.OVERLAP: "The run before it had not finished (overlap_policy).",
}
SENTENCES: Mapping[RunStatus, str] = {
    RunStatus.QUEUED: "It waits for an executor{next}{by_hand}.",
    RunStatus.RUNNING: "An executor is running it{since}, attempt {attempt}{by_hand}.",
    RunStatus.WAITING: "It waits for its next step{next}.",
    RunStatus.RETRYING: "Attempt {attempt} failed{cause}; the next one follows{next}.",
    RunStatus.SUCCEEDED: "It ran{began} and succeeded at attempt {attempt}{by_hand}.",
    RunStatus.FAILED: "It ran{began} and failed for good{cause}.",
    RunStatus.DEAD: "It failed {attempt} times, as often as max_retries allows{cause}.",
    RunStatus.CANCELED: "The task was canceled while it ran.",
    RunStatus.SKIPPED: "It was not executed, and no reason is recorded.",
    RunStatus.EXPIRED: "It was not executed in time.",
}


def instant(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def words_of_task(task: Mapping[str, Any]) -> str:
    if task["schedule_error"] is not None:
        return f"The schedule cannot be computed: {task['schedule_error']}"
    match TaskStatus(task["status"]):
        case TaskStatus.ACTIVE:
            return "The task is active."
        case TaskStatus.PAUSED:
            note = "" if task["status_note"] is None else f" ({task['status_note']})"
            until = "" if task["paused_until"] is None else f" until {instant(task['paused_until'])}"
            return f"The task is paused{until}{note}."
        case TaskStatus.CANCELED:
            return "The task is canceled: it never runs again."
        case TaskStatus.COMPLETED:
            return "The task is completed: its schedule yields no more."


def why_excluded(task: Mapping[str, Any], blackouts: Blackouts, at: datetime) -> str | None:
    """None for a time within the bounds and outside the blackouts of the task."""
    if task["starts_at"] is not None and at < task["starts_at"]:
        return f"It lies before starts_at, {instant(task['starts_at'])}."
    if task["ends_at"] is not None and at > task["ends_at"]:
        return f"It lies after ends_at, {instant(task['ends_at'])}."
    until = blackouts.end_of(at)
    return None if until is None else f"It lies in a blackout that ends at {instant(until)} (exclusions)."


def why_pending(work: Waiting, task: Mapping[str, Any]) -> str:
    if work.run_at <= task["now"]:
        return "Its time has come, and no executor has taken it yet."
    if (work.run_at - work.scheduled_for).total_seconds() > task["jitter_seconds"]:
        return f"It is postponed, and waits to run at {instant(work.run_at)}."
    return f"It waits to run at {instant(work.run_at)}."


def why_run(run: Run, task: Mapping[str, Any], run_at: datetime | None) -> str:
    """`run_at`: when it runs next, if it waits."""
    if run.skip_reason is not None:
        return _why_skipped(run.skip_reason, task)
    return SENTENCES[RunStatus(run.status)].format(
        attempt=run.attempt,
        cause=_cause(run),
        by_hand=" (asked for by run_now)" if run.source == Source.MANUAL else "",
        began=_after(" at ", run.started_at),
        since=_after(" since ", run.started_at),
        next=_after(" at ", run_at),
    )


def _why_skipped(reason: str, task: Mapping[str, Any]) -> str:
    sentence = REASONS.get(reason, f"It was not executed: {reason}.")
    return sentence.format(window=task["misfire_window_seconds"])


def _cause(run: Run) -> str:
    if run.error is None:
        return ""
    message = str(run.error.get("message", ""))[:MESSAGE_CHARACTERS].rstrip(".")
    return f" with {run.error.get('class', 'an error')}: {message}"


def _after(word: str, at: datetime | None) -> str:
    return "" if at is None else f"{word}{instant(at)}"
