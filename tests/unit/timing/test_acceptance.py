"""What a well-formed schedule must still be to be accepted."""

from datetime import timedelta

import pytest

from shared.timing.acceptance import check_schedule
from shared.timing.fault import IN_PAST, NEVER_FIRES, TOO_FREQUENT, ScheduleFault
from shared.timing.schedule import Schedule
from tests.unit.timing.calendar_of import cron, once, rrule, utc

NOW = utc("2026-01-15 12:00:00")


def refusal_of(schedule: Schedule, min_interval_seconds: int = 10) -> str:
    with pytest.raises(ScheduleFault) as refusal:
        check_schedule(schedule, now=NOW, min_interval_seconds=min_interval_seconds)
    return refusal.value.error_code


def test_the_first_occurrence_is_answered() -> None:
    assert check_schedule(cron("0 9 * * *"), now=NOW, min_interval_seconds=10) == utc("2026-01-16 09:00:00")


@pytest.mark.parametrize(
    "schedule",
    [
        cron("0 0 30 2 *"),
        cron("0 0 31 4,6,9,11 *"),
        rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"),
        rrule("DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;COUNT=3"),
        rrule("DTSTART:20200101T000000Z\nRRULE:FREQ=DAILY;UNTIL=20210101T000000Z"),
        rrule("FREQ=MINUTELY;INTERVAL=12;BYMINUTE=1"),
    ],
)
def test_what_never_fires_is_refused(schedule: Schedule) -> None:
    assert refusal_of(schedule) == NEVER_FIRES


def test_a_time_that_has_passed_is_refused() -> None:
    assert refusal_of(once("2026-01-15T12:00:00Z")) == IN_PAST


@pytest.mark.parametrize(
    "schedule",
    [
        cron("* * * * * *"),
        cron("*/9 * * * * *"),
        cron("58,2 0 0 1 1 *"),
        cron("0,5 30 9 * * 1"),
        rrule("FREQ=SECONDLY;INTERVAL=9"),
        rrule("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0,1"),
        rrule("RRULE:FREQ=DAILY;BYHOUR=9\nRRULE:FREQ=DAILY;BYHOUR=9;BYSECOND=5"),
    ],
)
def test_what_fires_too_often_is_refused_and_allowed_to_those_who_may(schedule: Schedule) -> None:
    assert refusal_of(schedule, min_interval_seconds=60) == TOO_FREQUENT
    assert check_schedule(schedule, now=NOW, min_interval_seconds=1) > NOW


def test_the_interval_is_a_limit_that_may_be_reached() -> None:
    assert check_schedule(cron("* * * * *"), now=NOW, min_interval_seconds=60) == NOW + timedelta(minutes=1)
