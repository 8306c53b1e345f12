"""Cron: the dialect, and what is said about a wrong expression."""

import pytest

from shared.timing.fault import TOO_COMPLEX
from shared.vocabulary.faults import FieldFault
from shared.vocabulary.states import ScheduleKind
from tests.unit.timing.calendar_of import after, cron, fault_of, utc

NEW_YEAR = utc("2026-01-01 00:00:00")


def refused(expr: str) -> FieldFault:
    return fault_of(ScheduleKind.CRON, expr)


def days(expr: str, count: int = 5) -> list[str]:
    return [at.strftime("%m-%d") for at in after(cron(expr), NEW_YEAR, count)]


@pytest.mark.parametrize(
    ("expr", "expected"),
    [
        ("0 9 L * *", ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ("0 9 L-2 * *", ["01-29", "02-26", "03-29", "04-28", "05-29"]),
        ("0 9 LW * *", ["01-30", "02-27", "03-31", "04-30", "05-29"]),
        ("0 9 15W * *", ["01-15", "02-16", "03-16", "04-15", "05-15"]),
        ("0 9 1W * *", ["01-01", "02-02", "03-02", "04-01", "05-01"]),
        ("0 9 31W * *", ["01-30", "03-31", "05-29", "07-31", "08-31"]),
        ("0 9 29-L * *", ["01-29", "01-30", "01-31", "03-29", "03-30"]),
        ("0 9 * * 5L", ["01-30", "02-27", "03-27", "04-24", "05-29"]),
        ("0 9 * * MON#2", ["01-12", "02-09", "03-09", "04-13", "05-11"]),
        ("0 9 * * MON#1,FRIL", ["01-05", "01-30", "02-02", "02-27", "03-02"]),
        ("0 9 * * FRI-MON", ["01-02", "01-03", "01-04", "01-05", "01-09"]),
        ("0 9 * * 7", ["01-04", "01-11", "01-18", "01-25", "02-01"]),
        ("0 9 ? nov-FEB 1-5", ["01-01", "01-02", "01-05", "01-06", "01-07"]),
    ],
)
def test_the_days_that_an_expression_means(expr: str, expected: list[str]) -> None:
    assert days(expr) == expected


def test_two_restricted_day_fields_mean_either() -> None:
    assert days("0 0 13 * 5") == ["01-02", "01-09", "01-13", "01-16", "01-23"]


def test_a_day_field_that_begins_with_a_star_narrows_the_other() -> None:
    assert days("0 0 */2 * 5") == ["01-09", "01-23", "02-13", "02-27", "03-13"]


def test_a_nearest_weekday_is_narrowed_by_the_day_of_the_week() -> None:
    assert days("0 0 15W * MON", 3) == ["02-16", "03-16", "06-15"]


def test_an_hour_range_runs_over_midnight() -> None:
    assert [at.hour for at in after(cron("0 22-2 * * *"), NEW_YEAR, 6)] == [1, 2, 22, 23, 0, 1]


def test_six_fields_begin_with_the_second() -> None:
    found = after(cron("*/20 0 12 * * *"), NEW_YEAR, 4)
    assert [at.strftime("%d %H:%M:%S") for at in found] == ["01 12:00:00", "01 12:00:20", "01 12:00:40", "02 12:00:00"]


@pytest.mark.parametrize(
    ("macro", "first"),
    [
        ("@hourly", "2026-01-01 01:00:00"),
        ("@Daily", "2026-01-02 00:00:00"),
        ("@midnight", "2026-01-02 00:00:00"),
        ("@weekly", "2026-01-04 00:00:00"),
        ("@monthly", "2026-02-01 00:00:00"),
        ("@YEARLY", "2027-01-01 00:00:00"),
    ],
)
def test_a_shorthand_is_read_in_any_case(macro: str, first: str) -> None:
    assert cron(macro).next_after(NEW_YEAR) == utc(first)


def test_the_rarest_day_is_found_over_the_year_2100() -> None:
    assert cron("0 0 29 2 */7").next_after(utc("2088-03-01 00:00:00")) == utc("2128-02-29 00:00:00")


def test_a_day_that_never_comes_ends_the_search() -> None:
    assert cron("0 0 30 2 *").next_after(NEW_YEAR) is None


@pytest.mark.parametrize(
    ("expr", "position", "said"),
    [
        ("60 9 * * *", 0, "minute field"),
        ("0 24 * * *", 2, "hour field"),
        ("0 9 32 * *", 4, "day-of-month field"),
        ("0 9 * 13 *", 6, "month field"),
        ("0 9 * * 1,8", 10, "day-of-week field"),
        ("*/0 * * * *", 0, "step"),
        ("0 9 15W,16 * *", 4, "W"),
        ("0 9 * * 1-", 8, "ranges"),
        ("0 9 L-31 * *", 4, "L-30"),
        ("? * * * *", 0, "minute field"),
    ],
)
def test_a_wrong_field_is_named_with_its_place(expr: str, position: int, said: str) -> None:
    wrong = refused(expr)
    assert (wrong.field, wrong.code, wrong.position) == ("schedule_expr", "invalid_schedule", position)
    assert said in wrong.message


@pytest.mark.parametrize(
    ("expr", "suggestion"),
    [
        ("0 0 7 ? * 1-5 *", "0 0 7 ? * 1-5"),
        ("0 7 * * MON-FRY", "FRI"),
        ("@every 5m", "*/5 * * * *"),
        ("0 8 ? * ?", "*"),
    ],
)
def test_a_likely_meaning_is_suggested(expr: str, suggestion: str) -> None:
    assert refused(expr).suggestion == suggestion


@pytest.mark.parametrize(
    "expr", ["", "* * * *", "@reboot", "@every 1h", "every day at 7", "0 9 * * *\x00", "¹ * * * *"]
)
def test_what_is_not_cron_is_refused(expr: str) -> None:
    assert refused(expr).code == "invalid_schedule"


def test_an_expression_that_is_too_long_is_refused_unread() -> None:
    assert refused("*/5," * 200 + " * * * *").code == TOO_COMPLEX
