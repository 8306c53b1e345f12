"""Recurrences: what is read, what is filled in, and what is said about a wrong one."""

import pytest

from shared.timing.fault import INVALID_DATETIME, INVALID_TIMEZONE, NEVER_FIRES, TOO_COMPLEX, ScheduleFault
from shared.vocabulary.faults import FieldFault
from shared.vocabulary.states import ScheduleKind
from tests.unit.timing.calendar_of import ANCHOR, after, fault_of, rrule, utc

START = "DTSTART:20260105T090000Z\n"
CHISINAU = "Europe/Chisinau"


def refused(expr: str) -> FieldFault:
    return fault_of(ScheduleKind.RRULE, expr)


def times(expr: str, count: int, zone: str = "UTC") -> list[str]:
    return [at.strftime("%m-%d %H:%M:%S") for at in after(rrule(expr, zone), ANCHOR, count)]


def test_without_a_start_the_anchor_keeps_the_phase() -> None:
    assert times("FREQ=DAILY;INTERVAL=2", 2) == ["01-17 09:34:56", "01-19 09:34:56"]
    assert times("FREQ=MINUTELY;INTERVAL=7", 2) == ["01-15 09:41:56", "01-15 09:48:56"]


def test_without_a_start_an_hour_means_the_full_hour() -> None:
    assert times("FREQ=DAILY;BYHOUR=7", 2) == ["01-16 07:00:00", "01-17 07:00:00"]
    assert times("FREQ=HOURLY;BYMINUTE=15", 2) == ["01-15 10:15:00", "01-15 11:15:00"]
    assert times("FREQ=WEEKLY;BYDAY=MO", 1) == ["01-19 09:34:56"]


def test_the_anchor_is_read_on_the_wall_of_the_zone() -> None:
    assert times("RRULE:FREQ=MONTHLY", 2, CHISINAU) == ["02-15 09:34:56", "03-15 09:34:56"]
    assert times("RRULE:FREQ=MONTHLY", 5, CHISINAU)[-1] == "06-15 08:34:56"


def test_a_start_that_the_rule_does_not_yield_is_no_occurrence() -> None:
    assert times("DTSTART:20260120T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO", 1) == ["01-26 09:00:00"]


def test_rules_and_dates_are_merged_and_exclusions_taken_away() -> None:
    text = (
        "DTSTART;TZID=Europe/Chisinau:20260105T090000\r\nRRULE:FREQ=WEEKLY;BYDAY=MO\r\nRRULE:FREQ=MONTHLY;BYMONTHDAY=1\r\n"
        "RDATE;TZID=Europe/Chisinau:20260121T120000\r\nEXDATE:20260119T070000Z\r\nEXDATE;TZID=America/New_York:20260126T020000\r\n"
    )
    assert times(text, 4) == ["01-21 10:00:00", "02-01 07:00:00", "02-02 07:00:00", "02-09 07:00:00"]


def test_an_exclusion_in_the_gap_meets_the_occurrence_that_moved_out_of_it() -> None:
    text = (
        "DTSTART;TZID=America/New_York:20260307T023000\nRRULE:FREQ=DAILY;COUNT=3\n"
        "EXDATE;TZID=America/New_York:20260308T023000"
    )
    assert times(text, 9) == ["03-07 07:30:00", "03-09 06:30:00"]


def test_a_count_ends_the_rule_and_counts_what_is_excluded() -> None:
    assert times(START + "RRULE:FREQ=DAILY;COUNT=13\nEXDATE:20260116T090000Z", 9) == ["01-17 09:00:00"]


def test_until_is_inclusive() -> None:
    assert times(START + "RRULE:FREQ=DAILY;UNTIL=20260117T090000Z", 9) == ["01-16 09:00:00", "01-17 09:00:00"]


def test_a_date_as_start_means_midnight_in_the_zone() -> None:
    text = "DTSTART;VALUE=DATE:20260105\nRRULE:FREQ=DAILY;UNTIL=20260117"
    assert times(text, 9, CHISINAU) == ["01-15 22:00:00", "01-16 22:00:00"]


def test_positions_choose_within_the_whole_first_week() -> None:
    text = "DTSTART:20260121T090000Z\nRRULE:FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1,3"
    assert times(text, 3) == ["01-23 09:00:00", "01-26 09:00:00", "01-30 09:00:00"]


def test_a_rule_of_long_ago_goes_on_in_phase() -> None:
    text = "DTSTART:19000101T000000Z\nRRULE:FREQ=SECONDLY;INTERVAL=61"
    first = rrule(text).next_after(ANCHOR)
    assert first is not None
    assert (first - utc("1900-01-01 00:00:00")).total_seconds() % 61 == 0
    assert 0 < (first - ANCHOR).total_seconds() <= 61


def test_the_end_of_the_calendar_is_an_end() -> None:
    assert rrule("DTSTART:99980101T000000Z\nRRULE:FREQ=YEARLY").next_after(utc("9999-12-31 23:59:59")) is None


@pytest.mark.parametrize(
    ("expr", "said", "suggestion"),
    [
        ("FREQ=FORTNIGHTLY", "FREQ", None),
        ("FREQ=DAYLY", "FREQ", "DAILY"),
        ("FREQ=WEEKLY;BYDAYS=MO", "names", "BYDAY"),
        ("FREQ=WEEKLY;BYDAY=MONDAY", "BYDAY", "MO"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL", None),
        ("FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z", "not by both", None),
        ("FREQ=MONTHLY;BYSETPOS=-1", "BYSETPOS", None),
        ("FREQ=WEEKLY;BYMONTHDAY=13", "BYMONTHDAY", None),
        ("RRULE:FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "EXDATE", None),
        ("DTSTART:20260101T000000Z", "neither", None),
        ("every monday", "lines", None),
        ("", "neither", None),
    ],
)
def test_a_wrong_rule_is_explained(expr: str, said: str, suggestion: str | None) -> None:
    wrong = refused(expr)
    assert (wrong.code, wrong.suggestion) == ("invalid_schedule", suggestion)
    assert said in wrong.message


@pytest.mark.parametrize(
    ("expr", "suggestion"),
    [
        ("DTSTART:20260230T090000Z\nRRULE:FREQ=DAILY", None),
        ("DTSTART:20260101T090060Z\nRRULE:FREQ=DAILY", None),
        ("FREQ=DAILY;UNTIL=2026-12-31T00:00:00Z", None),
        ("FREQ=DAILY;UNTIL=20261231", "20261231T235959Z"),
        ("DTSTART;TZID=Europe/Chisinau:20260101T090000\nRRULE:FREQ=DAILY;UNTIL=20261231T000000", "20261231T000000Z"),
        ("DTSTART;TZID=Europe/Chisinau:20260101T090000Z\nRRULE:FREQ=DAILY", None),
    ],
)
def test_a_wrong_date_is_explained(expr: str, suggestion: str | None) -> None:
    wrong = refused(expr)
    assert (wrong.field, wrong.code) == ("schedule_expr", INVALID_DATETIME)
    assert suggestion in {None, wrong.suggestion}


def test_an_unknown_zone_in_the_start_is_a_fault_of_the_expression() -> None:
    wrong = refused("DTSTART;TZID=Europe/Kishinau:20260101T090000\nRRULE:FREQ=DAILY")
    assert (wrong.field, wrong.code, wrong.suggestion) == ("schedule_expr", INVALID_TIMEZONE, CHISINAU)


@pytest.mark.parametrize(
    "expr",
    [
        "FREQ=DAILY;BYHOUR=" + ",".join(["9"] * 300),
        "FREQ=DAILY;COUNT=10001",
        "FREQ=SECONDLY;INTERVAL=86401;BYHOUR=9",
        "FREQ=YEARLY;INTERVAL=101",
        "FREQ=YEARLY;COUNT=1000",
        "\n".join(["RRULE:FREQ=DAILY"] * 9),
        "RDATE:" + ",".join(["20260101T000000Z"] * 1001),
        "RRULE:FREQ=DAILY\nEXDATE:" + "9" * 20_000,
    ],
)
def test_what_costs_too_much_is_refused(expr: str) -> None:
    assert refused(expr).code == TOO_COMPLEX


def test_a_thousand_dates_are_accepted() -> None:
    dates = ",".join(
        f"20{year}{month:02}{day:02}T0900" for year in range(26, 29) for month in range(1, 13) for day in range(1, 28)
    )
    text = "RRULE:FREQ=DAILY;BYHOUR=9\nEXDATE:" + ",".join(f"{date}00" for date in dates.split(",")[:1000])
    assert times(text, 1) == ["01-28 09:00:00"]


def test_among_several_rules_one_that_never_fires_is_refused() -> None:
    with pytest.raises(ScheduleFault) as refusal:
        rrule("RRULE:FREQ=DAILY\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")
    assert refusal.value.error_code == NEVER_FIRES
