"""Clock changes with names and dates: what cron and recurrences do in gaps and folds."""

from datetime import UTC, datetime

import pytest

from tests.unit.timing.calendar_of import cron, local, once, rrule

NEW_YORK, CHISINAU, LORD_HOWE = "America/New_York", "Europe/Chisinau", "Australia/Lord_Howe"
SAO_PAULO, APIA, CASABLANCA, ST_JOHNS = "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"


@pytest.mark.parametrize(
    ("zone", "expr", "since", "expected"),
    [
        # New York, 2026-03-08: 02:00 becomes 03:00.
        (NEW_YORK, "30 2 * * *", "2026-03-07 12:00", ["08 03:00-0400", "09 02:30-0400"]),
        (NEW_YORK, "0,15,30 2 * * *", "2026-03-07 12:00", ["08 03:00-0400", "09 02:00-0400"]),
        (NEW_YORK, "*/30 * * * *", "2026-03-08 01:15", ["08 01:30-0500", "08 03:00-0400"]),
        # New York, 2026-11-01: 02:00 becomes 01:00.
        (NEW_YORK, "30 1 * * *", "2026-10-31 12:00", ["01 01:30-0400", "02 01:30-0500"]),
        (NEW_YORK, "30 * * * *", "2026-11-01 01:00", ["01 01:30-0400", "01 01:30-0500", "01 02:30-0500"]),
        # Chisinau moves an hour before the rest of Eastern Europe: 2026-03-29, 02:00 becomes 03:00.
        (CHISINAU, "30 2 * * *", "2026-03-28 12:00", ["29 03:00+0300", "30 02:30+0300"]),
        (CHISINAU, "0 9 * * *", "2026-03-28 08:00", ["28 09:00+0200", "29 09:00+0300"]),
        (CHISINAU, "15 2 * * *", "2026-10-24 12:00", ["25 02:15+0300", "26 02:15+0200"]),
        # Lord Howe, 2026-10-04: half an hour is lost at 02:00; 2026-04-05: half an hour comes twice.
        (LORD_HOWE, "15 2 * * *", "2026-10-03 12:00", ["04 02:30+1100", "05 02:15+1100"]),
        (LORD_HOWE, "*/15 * * * *", "2026-10-04 01:40", ["04 01:45+1030", "04 02:30+1100"]),
        (LORD_HOWE, "45 1 * * *", "2026-04-04 12:00", ["05 01:45+1100", "06 01:45+1030"]),
        (LORD_HOWE, "45 * * * *", "2026-04-05 01:30", ["05 01:45+1100", "05 01:45+1030", "05 02:45+1030"]),
        # São Paulo, 2018-11-04: midnight becomes 01:00.
        (SAO_PAULO, "0 0 * * *", "2018-11-03 12:00", ["04 01:00-0200", "05 00:00-0200"]),
        (SAO_PAULO, "30 0 4 11 *", "2018-11-03 12:00", ["04 01:00-0200"]),
        # São Paulo, 2018-02-17: 24:00 becomes 23:00 of the same day.
        (SAO_PAULO, "30 23 * * *", "2018-02-17 12:00", ["17 23:30-0200", "18 23:30-0300"]),
        # Apia, 2011-12-30: the whole day is left out.
        (APIA, "0 9 * * *", "2011-12-29 00:00", ["29 09:00-1000", "31 09:00+1400"]),
        (APIA, "0 12 30 12 *", "2011-12-29 00:00", ["30 12:00+1400"]),
        # Casey, 2016-10-22: midnight becomes 03:00.
        ("Antarctica/Casey", "30 1 * * *", "2016-10-21 12:00", ["22 03:00+1100", "23 01:30+1100"]),
        # Casablanca leaves summer time for Ramadan: 2026-02-15, 03:00 becomes 02:00; 2026-03-22, 02:00 becomes 03:00.
        (CASABLANCA, "30 2 * * *", "2026-02-14 12:00", ["15 02:30+0100", "16 02:30+0000"]),
        (CASABLANCA, "30 2 * * *", "2026-03-21 12:00", ["22 03:00+0100", "23 02:30+0100"]),
        # St John's, 2006-10-29: 00:01 becomes 23:01 of the day before.
        (ST_JOHNS, "30 23 * * *", "2006-10-28 12:00", ["28 23:30-0230", "29 23:30-0330"]),
        (ST_JOHNS, "0 * * * *", "2006-10-28 23:00", ["29 00:00-0230", "29 00:00-0330", "29 01:00-0330"]),
    ],
)
def test_cron_over_a_clock_change(zone: str, expr: str, since: str, expected: list[str]) -> None:
    assert local(cron(expr, zone), zone, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("expr", "since", "expected"),
    [
        # Several times a day: those in the gap are left out, as real time leaves them out.
        ("0 30 1-4 * * *", "2026-03-08 01:00", ["08 01:30-0500", "08 03:30-0400"]),
        # The only time of the day: the day is not lost.
        ("0 30 2 * * *", "2026-03-07 12:00", ["08 03:00-0400", "09 02:30-0400"]),
        ("0 30 1 * * *", "2026-10-31 12:00", ["01 01:30-0400", "02 01:30-0500"]),
    ],
)
def test_cron_with_seconds_over_a_clock_change(expr: str, since: str, expected: list[str]) -> None:
    assert local(cron(expr, NEW_YORK), NEW_YORK, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("zone", "rule", "since", "expected"),
    [
        (NEW_YORK, "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "2026-03-07 12:00", ["08 03:30-0400", "09 02:30-0400"]),
        (NEW_YORK, "FREQ=DAILY;BYHOUR=1;BYMINUTE=30", "2026-10-31 12:00", ["01 01:30-0400", "02 01:30-0500"]),
        # Without BY parts hours elapse; with them they are read off the wall.
        (NEW_YORK, "FREQ=HOURLY", "2026-11-01 00:40", ["01 01:00-0400", "01 01:00-0500", "01 02:00-0500"]),
        (NEW_YORK, "FREQ=HOURLY;BYMINUTE=0", "2026-11-01 00:40", ["01 01:00-0400", "01 02:00-0500"]),
        (NEW_YORK, "FREQ=HOURLY;BYMINUTE=0", "2026-03-08 01:30", ["08 03:00-0400", "08 04:00-0400"]),
        (NEW_YORK, "FREQ=HOURLY;BYMINUTE=0,30", "2026-03-08 01:00", ["08 01:30-0500", "08 03:00-0400"]),
        (LORD_HOWE, "FREQ=DAILY;BYHOUR=2;BYMINUTE=10", "2026-10-03 12:00", ["04 02:40+1100", "05 02:10+1100"]),
        (SAO_PAULO, "FREQ=DAILY;BYHOUR=0;BYMINUTE=0", "2018-11-03 12:00", ["04 01:00-0200", "05 00:00-0200"]),
        (APIA, "FREQ=DAILY;BYHOUR=9;BYMINUTE=0", "2011-12-29 00:00", ["29 09:00-1000", "31 09:00+1400"]),
        (CASABLANCA, "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "2026-03-21 12:00", ["22 03:30+0100", "23 02:30+0100"]),
        (CHISINAU, "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", "2026-03-28 12:00", ["29 03:30+0300", "30 02:30+0300"]),
        (ST_JOHNS, "FREQ=DAILY;BYHOUR=23;BYMINUTE=30", "2006-10-28 12:00", ["28 23:30-0230", "29 23:30-0330"]),
    ],
)
def test_a_recurrence_over_a_clock_change(zone: str, rule: str, since: str, expected: list[str]) -> None:
    schedule = rrule(f"DTSTART:20000101T000000\nRRULE:{rule}", zone)
    assert local(schedule, zone, since, len(expected)) == expected


@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-03-29T02:30:00", datetime(2026, 3, 29, 0, 30, tzinfo=UTC)),
        ("2026-10-25T02:30:00", datetime(2026, 10, 24, 23, 30, tzinfo=UTC)),
        ("2026-07-01T09:00", datetime(2026, 7, 1, 6, tzinfo=UTC)),
    ],
)
def test_a_local_time_for_once_moves_over_a_gap_and_takes_the_first_of_two(written: str, instant: datetime) -> None:
    assert once(written, CHISINAU).next_after(datetime(2026, 1, 1, tzinfo=UTC)) == instant
