"""When a task fires, what a change changes, and what a payload may say: decided without a database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from services.gateway.agents.names import clean_name
from services.gateway.tasks.changes import changes_of
from services.gateway.tasks.wire import TaskUpdate
from shared.outbound.addresses import AddressPolicy
from shared.pipeline.validation import check_pipeline
from shared.tasks.fields import clean_title
from shared.tasks.schedule import accept, next_time
from shared.timing.exclusions import Range
from shared.timing.timetable import Timetable
from shared.vocabulary.faults import Invalid
from shared.vocabulary.names import name_key
from shared.vocabulary.pipeline import Payload
from shared.vocabulary.states import ScheduleKind

NOW = datetime(2026, 6, 1, 12, 30, tzinfo=UTC)
HOURLY = Timetable(
    schedule_kind=ScheduleKind.CRON,
    schedule_expr="0 * * * *",
    timezone="UTC",
    anchor_at=NOW,
    starts_at=None,
    ends_at=None,
)


def _with(**changes: object) -> Timetable:
    return msgspec.structs.replace(HOURLY, **changes)


def _next(timetable: Timetable, runs_planned: int = 0, max_runs: int | None = None) -> datetime | None:
    return next_time(timetable, NOW, runs_planned, max_runs)


def test_the_next_time_lies_strictly_after_now() -> None:
    assert _next(HOURLY) == datetime(2026, 6, 1, 13, tzinfo=UTC)


def test_an_occurrence_at_the_start_counts_and_one_at_the_end_too() -> None:
    start = datetime(2026, 6, 2, 5, tzinfo=UTC)
    assert _next(_with(starts_at=start)) == start
    assert _next(_with(ends_at=datetime(2026, 6, 1, 13, tzinfo=UTC))) == datetime(2026, 6, 1, 13, tzinfo=UTC)


def test_nothing_follows_the_end_or_the_last_run() -> None:
    assert _next(_with(ends_at=NOW + timedelta(minutes=29))) is None
    assert _next(HOURLY, runs_planned=3, max_runs=3) is None
    assert _next(HOURLY, runs_planned=2, max_runs=3) is not None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ends_at": NOW}, "schedule_never_fires"),
        ({"starts_at": NOW + timedelta(hours=2), "ends_at": NOW + timedelta(hours=1)}, "out_of_range"),
        ({"schedule_expr": "* * * * * *"}, "schedule_too_frequent"),
        ({"schedule_kind": ScheduleKind.EVENT}, "invalid_schedule"),
        (
            {"exclusions": ("2026-06-01", Range("2026-06-02", "2027-01-31")), "ends_at": NOW + timedelta(days=200)},
            "schedule_never_fires",
        ),
        ({"exclusions": ("2026-02-30",)}, "invalid_datetime"),
        ({"schedule_expr": "0 0 30 2 *"}, "schedule_never_fires"),
    ],
)
def test_a_timetable_that_cannot_be_kept_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        accept(_with(**changes), NOW, 10)
    assert refusal.value.error_code == code


COLUMNS: dict[str, Any] = {
    "title": "old",
    "payload": {"pipeline": []},
    "tags": ["a"],
    "timezone": "UTC",
    "starts_at": NOW,
    "priority": 5,
    "dedupe_key": "k",
}


def _changes(**given: object) -> dict[str, Any]:
    columns = {**dict.fromkeys(TaskUpdate.__struct_fields__), **COLUMNS}
    return dict(changes_of(columns, msgspec.structs.replace(TaskUpdate(), **given)).values)


def test_only_what_differs_is_a_change() -> None:
    assert _changes() == {}
    assert _changes(title=" old ", tags=["a", "a"], priority=5) == {}
    assert _changes(title="new", priority=5) == {"title": "new"}
    assert _changes(dedupe_key=None) == {"dedupe_key": None}


def test_the_same_instant_in_another_zone_is_no_change() -> None:
    assert _changes(starts_at=datetime.fromisoformat("2026-06-01T15:30:00+03:00")) == {}


@pytest.mark.parametrize(
    ("title", "code"), [("", "required"), (" \u2003 ", "required"), ("\u200b\u202e", "invalid_character")]
)
def test_a_title_that_nobody_can_see_is_refused(title: str, code: str) -> None:
    with pytest.raises(Invalid) as refusal:
        clean_title(title)
    assert refusal.value.error_code == code


def test_what_is_stored_of_a_step_is_what_was_given() -> None:
    given = {
        "params": {"a": 1},
        "pipeline": [{"id": "a", "uses": "http.request", "with": {"url": "https://a.example/"}}],
    }
    payload = msgspec.convert(given, Payload)
    check_pipeline(payload, AddressPolicy())
    assert msgspec.to_builtins(payload) == given


def test_names_that_look_alike_have_one_key() -> None:
    assert len({name_key(name) for name in ("Straße", "STRASSE", "\uff33\uff34RASSE", "strasse")}) == 1
    assert name_key("a") != name_key("b")


@pytest.mark.parametrize("name", ["", "  ", "a\u0007b", "a\u202eb"])
def test_a_name_that_hides_something_is_refused(name: str) -> None:
    with pytest.raises(Invalid):
        clean_name(name)
