"""Once: one instant, written strictly."""

import pytest

from shared.timing.fault import INVALID_DATETIME
from shared.vocabulary.states import ScheduleKind
from tests.unit.timing.calendar_of import fault_of, once, utc


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-03-01T09:00:00Z", "2026-03-01 09:00:00"),
        ("2026-03-01t09:00:00.250z", "2026-03-01 09:00:00.250"),
        ("2026-03-01T09:00:00+02:00", "2026-03-01 07:00:00"),
        ("2026-03-01T09:00:00", "2026-03-01 07:00:00"),
        ("2026-07-01 09:00", "2026-07-01 06:00:00"),
    ],
)
def test_an_instant_comes_once(written: str, instant: str) -> None:
    schedule = once(written, "Europe/Chisinau")
    assert schedule.next_after(utc("2026-01-01 00:00:00")) == utc(instant)
    assert schedule.next_after(utc(instant)) is None


@pytest.mark.parametrize(
    "written",
    [
        "tomorrow",
        "2026-03-01",
        "2026-02-30T00:00:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T00:00:60Z",
        "10000-01-01T00:00:00Z",
        "2026-03-01T09:00:00+25:00",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00",
        "2026-03-01T09:00:00 Europe/Chisinau",
        "2026-03-01T09:00:00Z" + " " * 100,
        "\uff12\uff1026-03-01T09:00:00Z",
    ],
)
def test_anything_else_is_refused(written: str) -> None:
    wrong = fault_of(ScheduleKind.ONCE, written, "Europe/Chisinau")
    assert (wrong.field, wrong.code) == ("schedule_expr", INVALID_DATETIME)
    assert "2026-03-01T09:00:00Z" in wrong.message


def test_an_event_has_no_clock_to_follow() -> None:
    assert fault_of(ScheduleKind.EVENT, "email.*").code == "invalid_schedule"
