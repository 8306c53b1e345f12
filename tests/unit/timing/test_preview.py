"""A schedule seen before it is saved."""

import pytest

from shared.timing.fault import ScheduleFault
from shared.timing.preview import describe, upcoming, warnings
from shared.timing.schedule import Schedule
from shared.vocabulary.states import ScheduleKind
from tests.unit.timing.calendar_of import cron, once, rrule, utc

NOW = utc("2026-01-15 00:00:00")
NEW_YORK = "America/New_York"


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        ("0 7 * * MONDAY-fri", "At 07:00, Monday through Friday"),
        ("@weekly", "At 00:00, only on Sunday"),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday"),
        ("0 0 */2 * 5", "At 00:00, every 2 days, only on Friday"),
        ("0 9 L-2W * *", "At 09:00, 2 days before the last day of the month, moved to the nearest weekday"),
        ("0 9 * DECEMBER fril", "At 09:00, on the last Friday of the month, only in December"),
        ("0 9 * * 4-07", "At the times that 0 9 * * 4-07 means"),
    ],
)
def test_cron_in_words(expr: str, words: str) -> None:
    assert describe(ScheduleKind.CRON, expr, "UTC") == f"{words} (UTC)"


@pytest.mark.parametrize(
    ("expr", "words"),
    [
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE;BYHOUR=9;BYMINUTE=0,30;UNTIL=20270101T000000Z",
            "Every 2 weeks on Monday and Wednesday at 09:00 and 09:30, until 2027-01-01 00:00 UTC",
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=1,-1", "Every month on the 1st and last day of the month"),
        ("FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU;COUNT=3", "Every year in March on the last Sunday of the month, 3 times"),
        ("FREQ=HOURLY;BYHOUR=9,10;BYMINUTE=5", "Every hour in hour 9 and 10 at minute 5"),
        ("RDATE:20270101T000000Z,20270102T000000Z", "On 2 given dates"),
        (
            "DTSTART:20260105T090000Z\nRRULE:FREQ=DAILY\nEXDATE:20260106T090000Z,20260107T090000Z",
            "Every day, except on 2 given dates, from 2026-01-05 09:00 UTC on",
        ),
    ],
)
def test_a_recurrence_in_words(expr: str, words: str) -> None:
    assert describe(ScheduleKind.RRULE, expr, "UTC") == f"{words} (UTC)"


def test_once_in_words() -> None:
    told = describe(ScheduleKind.ONCE, "2026-07-01T06:00:00Z", "Europe/Chisinau")
    assert told == "Once, at 2026-07-01 09:00:00 (Europe/Chisinau)"


def test_what_is_refused_is_not_described() -> None:
    with pytest.raises(ScheduleFault):
        describe(ScheduleKind.CRON, "0 25 * * *", "UTC")


@pytest.mark.parametrize(
    ("schedule", "codes"),
    [
        (cron("0 9 * * 1-5", NEW_YORK), set()),
        (cron("30 2 * * *", NEW_YORK), {"in_gap"}),
        (cron("30 1 * * *", NEW_YORK), {"in_fold"}),
        (cron("*/30 * * * *", NEW_YORK), set()),
        (rrule("DTSTART:20260101T023000\nRRULE:FREQ=DAILY", NEW_YORK), {"in_gap"}),
        (rrule("DTSTART;TZID=America/New_York:20260101T013000\nRRULE:FREQ=DAILY"), {"in_fold"}),
        (cron("0 9 31 * *"), {"skips_months"}),
        (cron("0 9 31 1,3 *"), set()),
        (cron("0 9 L * *"), set()),
        (rrule("FREQ=MONTHLY;BYMONTHDAY=30"), {"skips_months"}),
        (cron("0 0 13 * 5"), {"either_day"}),
        (cron("0 0 9 * * *"), {"seconds"}),
        (rrule("FREQ=SECONDLY;INTERVAL=30"), {"seconds", "many_a_day"}),
        (cron("*/7 * * * *"), {"many_a_day", "uneven_step"}),
        (cron("0 0 29 2 *"), {"far_away", "skips_months"}),
        (once("2030-01-01T00:00:00Z"), {"far_away"}),
    ],
)
def test_what_an_author_is_warned_of(schedule: Schedule, codes: set[str]) -> None:
    assert {warning.code for warning in warnings(schedule, NOW)} == codes


def test_the_next_occurrences_end_with_the_schedule() -> None:
    schedule = rrule("DTSTART:20260101T090000Z\nRRULE:FREQ=DAILY;COUNT=17")
    assert upcoming(schedule, NOW, 100) == [
        utc("2026-01-15 09:00:00"),
        utc("2026-01-16 09:00:00"),
        utc("2026-01-17 09:00:00"),
    ]
    assert upcoming(schedule, NOW, 2) == [utc("2026-01-15 09:00:00"), utc("2026-01-16 09:00:00")]
