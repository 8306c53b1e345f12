"""The dearest expressions that are accepted, each within its budget of processor time."""

import time
from datetime import UTC, datetime

import pytest

from shared.timing.schedule import Schedule
from tests.unit.timing.calendar_of import cron, rrule

BUDGET_SECONDS = 0.05
INSTANTS = [datetime(year, 3, 1, tzinfo=UTC) for year in (1900, 1970, 2026, 2099)]
EVERY_WEEKDAY = "BYDAY=MO,TU,WE,TH,FR"


def _seconds(schedule: Schedule, instant: datetime) -> float:
    started = time.process_time()
    schedule.next_after(instant)
    return time.process_time() - started


@pytest.mark.parametrize("start", ["DTSTART:19000101T000000", "DTSTART;TZID=America/New_York:16000101T000000"])
@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=SECONDLY",
        "FREQ=SECONDLY;INTERVAL=7;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=10;BYSECOND=2",
        "FREQ=MINUTELY;INTERVAL=997;BYDAY=SU;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=HOURLY;INTERVAL=4;BYHOUR=7,11,15,19",
        "FREQ=DAILY;INTERVAL=36500;BYDAY=MO",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=1,2;BYSETPOS=3",
        f"FREQ=MONTHLY;{EVERY_WEEKDAY};BYSETPOS=24",
        "FREQ=YEARLY;BYWEEKNO=53;BYMONTH=6",
        "FREQ=YEARLY;INTERVAL=3;BYMONTH=2;BYMONTHDAY=29;BYDAY=SU",
        "FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYHOUR=1,2,3,4,5,6,7,8;BYSETPOS=366,-366",
    ],
)
def test_a_recurrence_of_long_ago_is_quick(start: str, rule: str) -> None:
    schedule = rrule(f"{start}\nRRULE:{rule}", "Europe/Chisinau")
    assert max(_seconds(schedule, instant) for instant in INSTANTS) < BUDGET_SECONDS


@pytest.mark.parametrize(
    "expr", ["0 0 30 2 *", "* * * * * *", "0 0 29 2 */7", "0 0 L-30 2 MON#5", "59 59 23 LW 12 FRIL"]
)
def test_cron_is_quick(expr: str) -> None:
    schedule = cron(expr, "Australia/Lord_Howe")
    assert max(_seconds(schedule, instant) for instant in INSTANTS) < BUDGET_SECONDS


def test_a_thousand_exclusions_in_a_row_are_quick() -> None:
    dates = [
        f"20{year}{month:02}{day:02}T090000" for year in range(26, 29) for month in range(1, 13) for day in range(1, 29)
    ]
    excluded = ",".join(dates[:1000])
    schedule = rrule(f"DTSTART:20260101T090000\nRRULE:FREQ=MONTHLY;BYMONTHDAY=1,2,3,4,5,6,7,8\nEXDATE:{excluded}")
    assert _seconds(schedule, datetime(2026, 1, 1, tzinfo=UTC)) < BUDGET_SECONDS


@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=SECONDLY;BYMONTH=1", "FREQ=MINUTELY;BYDAY=MO"])
def test_a_count_is_resolved_once_and_quickly(rule: str) -> None:
    started = time.process_time()
    schedule = rrule(f"DTSTART:19000101T000000\nRRULE:{rule};COUNT=10000")
    assert time.process_time() - started < BUDGET_SECONDS
    assert schedule.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None
