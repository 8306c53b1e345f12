"""Blackouts take away exactly what lies in them, from every schedule and in every zone."""

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.timing.exclusions import MICROSECOND, Exclusion, Range, compile_exclusions
from shared.timing.schedule import Schedule
from shared.timing.timetable import Timetable, compile_timetable
from shared.vocabulary.states import ScheduleKind
from tests.property.expressions import ANCHOR, zones

# The clocks change in one zone or another: back over midnight in St. John's, at midnight, and over a whole day in Apia.
SEASONS = tuple(datetime(*day, tzinfo=UTC) for day in ((2010, 10, 10), (2011, 3, 5), (2011, 12, 20)))
DAYS = 40
DAYS_LOOKED_AT = 12
MINUTE = timedelta(minutes=1)
EXPRESSIONS = ("*/30 * * * *", "0 9 * * *", "30 0 * * *", "0 0 1,15 * *", "15 */6 * * MON-FRI", "59 23 * * *")

texts = st.sampled_from(EXPRESSIONS)


class Case(NamedTuple):
    expr: str
    zone: str
    exclusions: list[Exclusion]
    start: datetime


@st.composite
def exclusions_within(draw: st.DrawFn, season: datetime) -> Exclusion:
    first = season + timedelta(seconds=draw(st.integers(0, DAYS * 86_400)))
    match draw(st.sampled_from(("date", "dates", "instants"))):
        case "date":
            return first.date().isoformat()
        case "dates":
            return Range(first.date().isoformat(), (first + timedelta(days=draw(st.integers(0, 9)))).date().isoformat())
        case _:
            return Range(first.isoformat(), (first + timedelta(seconds=draw(st.integers(1, 300_000)))).isoformat())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    season = draw(st.sampled_from(SEASONS))
    start = season + timedelta(seconds=draw(st.integers(0, DAYS * 86_400)))
    return Case(draw(texts), draw(zones), draw(st.lists(exclusions_within(season), max_size=8)), start)


def _schedule(expr: str, zone: str, exclusions: Sequence[Exclusion] = ()) -> Schedule:
    return compile_timetable(Timetable(ScheduleKind.CRON, expr, zone, ANCHOR, exclusions=exclusions))


def _between(schedule: Schedule, start: datetime, end: datetime) -> list[datetime]:
    found = []
    at = schedule.next_after(start)
    while at is not None and at <= end:
        found.append(at)
        at = schedule.next_after(at)
    return found


@settings(max_examples=150, deadline=None)
@given(cases())
def test_what_is_left_and_what_was_excluded_are_the_whole(case: Case) -> None:
    end = case.start + timedelta(days=DAYS_LOOKED_AT)
    whole = _between(_schedule(case.expr, case.zone), case.start, end)
    left = _between(_schedule(case.expr, case.zone, case.exclusions), case.start, end)

    assert left == [at for at in whole if not _is_excluded(at, case.exclusions, ZoneInfo(case.zone))]


def _is_excluded(at: datetime, exclusions: Sequence[Exclusion], zone: ZoneInfo) -> bool:
    """As the words say it: the date on the wall, or between two instants."""
    shown = _day_of(at, zone).isoformat()
    return any(_covers(exclusion, at, shown) for exclusion in exclusions)


def _day_of(at: datetime, zone: ZoneInfo) -> date:
    """A day that has begun goes on where the clocks go back over midnight."""
    wall = at.astimezone(zone)
    hour_before = [at - n * MINUTE for n in range(60)] if wall.hour == 23 else [at]
    return max(each.astimezone(zone).date() for each in hour_before)


def _covers(exclusion: Exclusion, at: datetime, shown: str) -> bool:
    if isinstance(exclusion, str):
        return shown == exclusion
    if "T" not in exclusion.start:
        return exclusion.start <= shown <= exclusion.until
    return datetime.fromisoformat(exclusion.start) <= at < datetime.fromisoformat(exclusion.until)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_excluding_nothing_changes_nothing(case: Case) -> None:
    end = case.start + timedelta(days=DAYS_LOOKED_AT)
    bounded = Timetable(ScheduleKind.CRON, case.expr, case.zone, ANCHOR, starts_at=ANCHOR.replace(year=2000))

    assert _between(compile_timetable(bounded), case.start, end) == _between(
        _schedule(case.expr, case.zone), case.start, end
    )


@settings(max_examples=150, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_blackouts_are_in_order_apart_and_the_same_in_whatever_order_they_were_given(
    case: Case, chance: random.Random
) -> None:
    blackouts = compile_exclusions(case.exclusions, ZoneInfo(case.zone))
    shuffled = list(case.exclusions)
    chance.shuffle(shuffled)

    assert compile_exclusions(shuffled, ZoneInfo(case.zone)) == blackouts
    assert all(start <= end for start, end in zip(blackouts.starts, blackouts.ends, strict=True))
    assert all(end < start for end, start in zip(blackouts.ends, blackouts.starts[1:], strict=False))


@settings(max_examples=150, deadline=None)
@given(cases())
def test_asked_from_inside_a_blackout_the_next_occurrence_is_that_after_its_end(case: Case) -> None:
    schedule = _schedule(case.expr, case.zone, case.exclusions)
    until = compile_exclusions(case.exclusions, ZoneInfo(case.zone)).end_of(case.start)

    following = schedule.next_after(case.start)

    assert following is None or until is None or following >= until
    assert until is None or following == schedule.next_after(until - MICROSECOND)
