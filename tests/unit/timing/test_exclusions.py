"""Blackouts: which instants a date or a range takes away, in zones whose days do not begin at midnight too."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.timing.exclusions import MICROSECOND, Blackouts, Exclusion, Range, compile_exclusions
from shared.timing.fault import INVALID_DATETIME, ScheduleFault
from shared.timing.schedule import Schedule
from shared.timing.timetable import Timetable, compile_timetable
from shared.vocabulary.faults import FieldFault
from shared.vocabulary.states import ScheduleKind
from tests.unit.timing.calendar_of import ANCHOR, after, cron, local, utc

Spans = list[tuple[datetime, datetime]]


def spans(exclusions: Sequence[Exclusion], zone: str = "UTC") -> Spans:
    blackouts = compile_exclusions(exclusions, ZoneInfo(zone))
    return list(zip(blackouts.starts, blackouts.ends, strict=True))


def span(start: str, end: str) -> tuple[datetime, datetime]:
    return utc(start), utc(end)


def without(
    exclusions: Sequence[Exclusion], expr: str, zone: str = "UTC", kind: ScheduleKind = ScheduleKind.CRON
) -> Schedule:
    return compile_timetable(Timetable(kind, expr, zone, ANCHOR, exclusions=exclusions))


def wrong(*exclusions: Exclusion, zone: str = "Europe/Chisinau") -> FieldFault:
    with pytest.raises(ScheduleFault) as refused:
        compile_exclusions(exclusions, ZoneInfo(zone))
    return refused.value.wrong


def test_a_date_is_the_whole_day_on_the_wall_of_the_zone() -> None:
    assert spans(["2026-12-25"], "Europe/Chisinau") == [span("2026-12-24 22:00", "2026-12-25 22:00")]


def test_a_range_of_dates_includes_both() -> None:
    assert spans([Range("2026-12-24", "2026-12-26")]) == [span("2026-12-24", "2026-12-27")]


def test_a_range_of_instants_ends_before_the_second_one() -> None:
    blackouts = compile_exclusions([Range("2026-05-04T12:00:00Z", "2026-05-04T13:00:00+00:00")], ZoneInfo("UTC"))

    assert blackouts.end_of(utc("2026-05-04 12:00") - MICROSECOND) is None
    assert blackouts.end_of(utc("2026-05-04 12:00")) == utc("2026-05-04 13:00")
    assert blackouts.end_of(utc("2026-05-04 13:00") - MICROSECOND) == utc("2026-05-04 13:00")
    assert blackouts.end_of(utc("2026-05-04 13:00")) is None


def test_a_local_instant_is_of_the_zone_of_the_schedule() -> None:
    assert spans([Range("2026-07-01T09:00:00", "2026-07-02")], "Europe/Chisinau") == [
        span("2026-07-01 06:00", "2026-07-02 21:00")
    ]


@pytest.mark.parametrize(
    ("zone", "day", "start", "end"),
    [
        pytest.param("America/Sao_Paulo", "2018-11-04", "2018-11-04 03:00", "2018-11-05 02:00", id="no midnight"),
        pytest.param("Asia/Beirut", "2022-03-27", "2022-03-26 22:00", "2022-03-27 21:00", id="no midnight, east"),
        pytest.param("America/Sao_Paulo", "2018-02-17", "2018-02-17 02:00", "2018-02-18 03:00", id="23:00 twice"),
        pytest.param("America/Havana", "2026-11-01", "2026-11-01 04:00", "2026-11-02 05:00", id="00:00 twice"),
        pytest.param("America/Toronto", "1919-03-31", "1919-03-31 04:30", "1919-04-01 04:00", id="begins at 00:30"),
        pytest.param("Europe/Chisinau", "2026-03-29", "2026-03-28 22:00", "2026-03-29 21:00", id="23 hours"),
        pytest.param("Australia/Lord_Howe", "2026-04-05", "2026-04-04 13:00", "2026-04-05 13:30", id="24.5 hours"),
        pytest.param("Pacific/Apia", "2011-12-29", "2011-12-29 10:00", "2011-12-30 10:00", id="before a lost day"),
    ],
)
def test_a_day_is_as_long_as_the_clocks_make_it(zone: str, day: str, start: str, end: str) -> None:
    assert spans([day], zone) == [span(start, end)]


def test_the_first_time_of_a_day_without_midnight_is_excluded_and_the_last_of_the_day_before_is_not() -> None:
    schedule = without(["2018-11-04"], "*/30 * * * *", "America/Sao_Paulo")

    assert local(schedule, "America/Sao_Paulo", "2018-11-03T23:00:00", 2) == ["03 23:30-0300", "05 00:00-0200"]


def test_a_day_that_the_zone_left_out_takes_nothing_away() -> None:
    assert without(["2011-12-30"], "0 9 * * *", "Pacific/Apia").next_after(utc("2011-12-29 19:00")) == utc(
        "2011-12-30 19:00"
    )
    assert without([Range("2011-12-30", "2011-12-30")], "0 9 * * *", "Pacific/Apia").next_after(
        utc("2011-12-29 19:00")
    ) == utc("2011-12-30 19:00")


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        pytest.param(["2026-05-04", "2026-05-05"], [("2026-05-04", "2026-05-06")], id="adjacent"),
        pytest.param(["2026-05-05", "2026-05-04", "2026-05-04"], [("2026-05-04", "2026-05-06")], id="in any order"),
        pytest.param(
            [Range("2026-05-01", "2026-05-09"), "2026-05-04"], [("2026-05-01", "2026-05-10")], id="one in another"
        ),
        pytest.param(
            [Range("2026-05-01", "2026-05-05"), Range("2026-05-04", "2026-05-07")],
            [("2026-05-01", "2026-05-08")],
            id="overlapping",
        ),
        pytest.param(
            ["2026-05-04", Range("2026-05-05T00:00:00.000001Z", "2026-05-05T12:00:00Z")],
            [("2026-05-04", "2026-05-05"), ("2026-05-05 00:00:00.000001", "2026-05-05 12:00")],
            id="a microsecond apart",
        ),
    ],
)
def test_ranges_that_touch_are_one(given: Sequence[Exclusion], merged: list[tuple[str, str]]) -> None:
    assert spans(given) == [span(*each) for each in merged]


def test_the_microsecond_between_two_blackouts_is_free() -> None:
    blackouts: list[Exclusion] = ["2026-05-04", Range("2026-05-05T00:00:00.000001Z", "2026-05-06T00:00:00Z")]

    assert without(blackouts, "0 * * * *").next_after(utc("2026-05-03 23:00")) == utc("2026-05-05 00:00")


def test_until_the_end_of_the_calendar_means_forever() -> None:
    schedule = without([Range("2026-05-04", "9999-12-31")], "0 12 * * *")

    assert after(schedule, utc("2026-05-03 00:00"), 9) == [utc("2026-05-03 12:00")]


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_the_first_and_the_last_day_of_the_calendar_can_be_named(zone: str) -> None:
    blackouts = compile_exclusions([Range("0001-01-01", "9999-12-31")], ZoneInfo(zone))

    assert blackouts.end_of(datetime(2026, 5, 4, tzinfo=UTC)) == blackouts.ends[0]
    assert blackouts.ends[0] >= datetime(9999, 12, 31, tzinfo=UTC)


def test_a_single_instant_inside_a_blackout_never_comes() -> None:
    schedule = without(["2026-05-04"], "2026-05-04T12:00:00Z", kind=ScheduleKind.ONCE)

    assert schedule.next_after(utc("2026-05-01 00:00")) is None


def test_excluding_nothing_gives_the_schedule_itself() -> None:
    assert compile_exclusions([], ZoneInfo("UTC")) == Blackouts()
    assert type(without([], "0 * * * *")) is type(cron("0 * * * *"))


def test_bounds_are_included_and_outlast_the_blackouts() -> None:
    noon = utc("2026-05-04 12:00")
    timetable = Timetable(
        ScheduleKind.CRON,
        "0 * * * *",
        "UTC",
        ANCHOR,
        starts_at=noon,
        ends_at=noon + timedelta(hours=4),
        exclusions=[Range("2026-05-04T13:00:00Z", "2026-05-04T16:00:00Z")],
    )

    assert after(compile_timetable(timetable), noon - timedelta(days=9), 9) == [noon, noon + timedelta(hours=4)]


@pytest.mark.parametrize(
    ("exclusion", "field"),
    [
        ("2026-02-30", "exclusions[1]"),
        ("2026-W01-1", "exclusions[1]"),
        ("20261225", "exclusions[1]"),
        ("2026-12-25T00:00:00Z", "exclusions[1]"),
        ("Christmas!", "exclusions[1]"),
        ("", "exclusions[1]"),
        ("\uff12\uff1026-12-25", "exclusions[1]"),
        (Range("2026-02-30", "2026-03-01"), "exclusions[1].from"),
        (Range("2026-03-01", "2026-02-30"), "exclusions[1].until"),
        (Range("soon", "2026-03-01"), "exclusions[1].from"),
        (Range("2026-03-01", "2026-03-01T25:00:00Z"), "exclusions[1].until"),
        (Range("2026-03-01", "2026-02-28"), "exclusions[1].until"),
        (Range("2026-03-01T09:00:00Z", "2026-03-01T09:00:00Z"), "exclusions[1].until"),
        (Range("2026-03-01T09:00:00Z", "2026-03-01T10:00:00+02:00"), "exclusions[1].until"),
    ],
)
def test_what_is_no_exclusion_is_refused_where_it_stands(exclusion: Exclusion, field: str) -> None:
    refused = wrong("2026-01-01", exclusion)

    assert (refused.field, refused.code) == (field, INVALID_DATETIME)
    assert "once schedule" not in refused.message
