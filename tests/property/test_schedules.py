"""Properties that every schedule keeps, in every zone."""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.timing.fault import ScheduleFault
from shared.timing.jitter import jitter
from shared.timing.schedule import Schedule, compile_schedule
from shared.timing.zones import zone_names
from shared.vocabulary.states import ScheduleKind
from tests.property.expressions import (
    ANCHOR,
    CHANGING_ZONES,
    cron_expressions,
    garbled,
    instants,
    recurrences,
    schedules,
    zones,
)
from tests.unit.timing.calendar_of import after, cron, rrule

BUDGET_SECONDS = 0.05
DECADE = datetime(2010, 1, 1, tzinfo=UTC), datetime(2020, 1, 1, tzinfo=UTC)

some_instants = st.one_of(instants, st.datetimes(timezones=st.just(UTC)))


@settings(max_examples=150, deadline=None)
@given(schedules(), some_instants)
def test_occurrences_strictly_increase(schedule: Schedule | None, instant: datetime) -> None:
    assume(schedule is not None)
    found = after(schedule, instant, 8) if schedule else []
    assert all(at.tzinfo is UTC for at in found)
    assert all(earlier < later for earlier, later in pairwise([instant, *found]))


@settings(max_examples=150, deadline=None)
@given(schedules(), instants, st.floats(0, 1, exclude_max=True))
def test_asked_from_any_instant_before_it_the_next_occurrence_is_the_same(
    schedule: Schedule | None, instant: datetime, share: float
) -> None:
    found = schedule.next_after(instant) if schedule else None
    assume(found is not None)
    assert schedule is not None
    assert found is not None
    between = instant + (found - instant) * share
    assert schedule.next_after(min(between, found - timedelta(microseconds=1))) == found


@settings(max_examples=300, deadline=None)
@given(schedules(), instants)
def test_no_two_occurrences_are_closer_than_the_schedule_says(schedule: Schedule | None, instant: datetime) -> None:
    assume(schedule is not None)
    assert schedule is not None
    found = after(schedule, instant, 30)
    assert all((later - earlier).total_seconds() >= schedule.apart_seconds for earlier, later in pairwise(found))


@settings(max_examples=60, deadline=None)
@given(schedules(), instants, st.integers(0, 6))
def test_resuming_from_any_occurrence_gives_the_same_rest(
    schedule: Schedule | None, instant: datetime, place: int
) -> None:
    assume(schedule is not None)
    found = after(schedule, instant, 12) if schedule else []
    assume(schedule is not None and len(found) > place)
    assert schedule is not None
    assert after(schedule, found[place], 12 - place - 1) == found[place + 1 :]


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(sorted(zone_names())), st.integers(0, 23), st.integers(0, 59), st.booleans())
def test_a_daily_task_has_each_local_day_once(zone: str, hour: int, minute: int, is_cron: bool) -> None:
    if is_cron:
        schedule = cron(f"{minute} {hour} * * *", zone)
    else:
        schedule = rrule(f"DTSTART:20000101T{hour:02}{minute:02}00\nRRULE:FREQ=DAILY", zone)
    home = ZoneInfo(zone)
    at, ran = schedule.next_after(DECADE[0]), []
    while at is not None and at < DECADE[1]:
        ran.append(at.astimezone(home).date())
        at = schedule.next_after(at)
    days = {ran[0] + timedelta(days=n) for n in range((ran[-1] - ran[0]).days + 1)}
    assert sorted(set(ran)) == ran
    assert all(_is_left_out(day.toordinal(), home) for day in days - set(ran))


def _is_left_out(day: int, zone: ZoneInfo) -> bool:
    noon = datetime.fromordinal(day).replace(hour=12, tzinfo=zone)
    return noon.astimezone(UTC).astimezone(zone).date() != noon.date()


@settings(max_examples=150, deadline=None)
@given(schedules(), instants, st.integers(0, 10_000))
def test_jitter_never_reorders(schedule: Schedule | None, instant: datetime, jitter_seconds: int) -> None:
    found = after(schedule, instant, 5) if schedule else []
    delayed = [
        at + jitter(at.isoformat().encode(), jitter_seconds, following - at) for at, following in pairwise(found)
    ]
    assert all(earlier < later for earlier, later in pairwise(delayed))
    assert all(at <= late < following for (at, following), late in zip(pairwise(found), delayed, strict=True))


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(ScheduleKind), st.one_of(garbled, cron_expressions, recurrences), zones, some_instants)
def test_nothing_but_a_fault_escapes_and_nothing_takes_long(
    kind: ScheduleKind, expr: str, zone: str, instant: datetime
) -> None:
    started = time.process_time()
    with contextlib.suppress(ScheduleFault):
        compile_schedule(kind, expr, zone, anchor=ANCHOR).next_after(instant)
    assert time.process_time() - started < BUDGET_SECONDS


@pytest.mark.parametrize("zone", CHANGING_ZONES)
def test_cron_follows_the_clocks_as_a_minute_by_minute_watcher_would(zone: str) -> None:
    home = ZoneInfo(zone)
    for start in _changes(home):
        for expr in ("*/7 * * * *", "13 */3 * * *", "* 2 * * *"):
            watched = [at for at in _minutes(start, 2) if _shows(expr, at.astimezone(home))]
            assert after(cron(expr, zone), start, len(watched)) == watched


def _changes(zone: ZoneInfo) -> list[datetime]:
    """A day before each change of the clocks in four years."""
    days = [datetime(2009, 1, 1, tzinfo=UTC) + timedelta(days=n) for n in range(4 * 365)]
    return [
        day - timedelta(days=1) for day, next_day in pairwise(days) if _offset(day, zone) != _offset(next_day, zone)
    ]


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _minutes(start: datetime, days: int) -> list[datetime]:
    return [start + timedelta(minutes=n) for n in range(1, days * 24 * 60)]


def _shows(expr: str, clock: datetime) -> bool:
    match expr:
        case "*/7 * * * *":
            return clock.minute % 7 == 0
        case "13 */3 * * *":
            return clock.minute == 13 and clock.hour % 3 == 0
        case _:
            return clock.hour == 2
