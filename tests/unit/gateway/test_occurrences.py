"""Where an occurrence may be moved to, and which times lay before a time: decided without a database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.gateway.schedules.explanation import explain
from services.gateway.schedules.facts import Facts
from services.gateway.tasks.ahead import ahead_of, first_unsettled, postponed
from services.gateway.tasks.wire import SnoozeOptions
from shared.timing.occurrences import Planned
from shared.vocabulary.faults import Invalid

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
OCCURRENCE = Planned(uuid4(), NOW + timedelta(hours=1), NOW + timedelta(hours=1, seconds=30))


def _task(expr: str, **changes: object) -> dict[str, Any]:
    columns = dict.fromkeys(("starts_at", "ends_at", "max_runs", "status_note", "paused_until", "schedule_error"))
    return {
        **columns,
        "id": UUID(int=7),
        "schedule_kind": "cron",
        "schedule_expr": expr,
        "timezone": "UTC",
        "anchor_at": NOW,
        "exclusions": [],
        "schedule_rev": 1,
        "jitter_seconds": 0,
        "runs_planned": 0,
        "status": "active",
        "misfire_window_seconds": 3600,
        "created_at": datetime(2000, 1, 1, tzinfo=UTC),
        "cursor_at": NOW,
        "now": NOW,
        **changes,
    }


def test_a_delay_counts_from_when_the_occurrence_was_to_run() -> None:
    assert postponed(OCCURRENCE, SnoozeOptions(delay_seconds=60), NOW) == OCCURRENCE.run_at + timedelta(seconds=60)


def test_a_delay_of_what_is_late_counts_from_now() -> None:
    later = NOW + timedelta(days=1)
    assert postponed(OCCURRENCE, SnoozeOptions(delay_seconds=60), later) == later + timedelta(seconds=60)


@pytest.mark.parametrize(
    "until",
    [NOW, OCCURRENCE.scheduled_for - timedelta(seconds=1), OCCURRENCE.scheduled_for + timedelta(days=7, seconds=1)],
)
def test_an_occurrence_stays_between_its_time_and_seven_days_after_it(until: datetime) -> None:
    with pytest.raises(Invalid) as refusal:
        postponed(OCCURRENCE, SnoozeOptions(until=until), NOW)
    assert refusal.value.error_code == "out_of_range"


def test_the_first_that_is_not_settled_is_found_with_how_many_come_before_it() -> None:
    task = _task("0 * * * *")
    first, second, third = islice(ahead_of(task, NOW), 3)
    assert first_unsettled(ahead_of(task, NOW), {first.id, second.id}) == (2, third)
    assert first_unsettled(ahead_of(_task("0 * * * *", max_runs=1), NOW), {first.id}) == (1, None)


def _hours_before(expr: str, limit: int) -> Iterator[float]:
    told = explain(_task(expr), Facts([], [], []), NOW, limit)
    return ((NOW - item.scheduled_for) / timedelta(hours=1) for item in told.items if item.scheduled_for <= NOW)


@pytest.mark.parametrize(
    ("expr", "hours"),
    [
        ("0 * * * *", [2.5, 1.5, 0.5]),
        ("30 12 * * *", [48, 24, 0]),
        ("*/10 * 9 * * *", [2.5 + seconds / 3600 for seconds in (30, 20, 10)]),
        ("30 12 1 6 *", [24 * 365 * 2, 24 * 365, 0]),
    ],
)
def test_the_last_times_are_found_however_far_back_they_lie(expr: str, hours: list[float]) -> None:
    assert list(_hours_before(expr, 3)) == pytest.approx(hours)


def test_no_time_is_told_from_before_the_task_existed() -> None:
    task = _task("0 * * * *", created_at=NOW - timedelta(minutes=45))
    told = explain(task, Facts([], [], []), NOW, 5)
    assert [item.what for item in told.items if item.scheduled_for <= NOW] == ["not_planned"]
