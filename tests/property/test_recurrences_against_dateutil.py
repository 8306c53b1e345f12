"""Recurrences against python-dateutil, in the parts of RFC 5545 where it is right."""

from datetime import UTC, datetime, timedelta
from itertools import islice

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.timing.calendar_of import after, rrule

START = datetime(2024, 1, 31, 9, 30, tzinfo=UTC)
UNTIL = START + timedelta(days=2 * 365)
COMPARED = 25

# dateutil counts positions wrongly in a first week, leaves BYWEEKNO without a weekday open, and mixes 1MO with MO.
SHARED_PARTS = {
    "YEARLY": ("BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYDAY", "BYHOUR"),
    "MONTHLY": ("BYMONTH", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYSETPOS"),
    "WEEKLY": ("BYMONTH", "BYDAY", "BYHOUR", "WKST"),
    "DAILY": ("BYMONTH", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE"),
    "HOURLY": ("BYMONTH", "BYMONTHDAY", "BYHOUR", "BYMINUTE"),
}


def _numbers(low: int, high: int) -> st.SearchStrategy[str]:
    return st.lists(st.integers(low, high), min_size=1, max_size=3).map(lambda values: ",".join(map(str, values)))


VALUES = {
    "BYMONTH": _numbers(1, 12),
    "BYMONTHDAY": st.one_of(_numbers(1, 31), _numbers(-31, -1)),
    "BYYEARDAY": st.one_of(_numbers(1, 366), _numbers(-366, -1)),
    "BYHOUR": _numbers(0, 23),
    "BYMINUTE": _numbers(0, 59),
    "BYSETPOS": st.sampled_from(["1", "-1", "2,-2"]),
    "BYDAY": st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=3).map(
        ",".join
    ),
    "WKST": st.sampled_from(["MO", "SU", "TH"]),
}


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(sorted(SHARED_PARTS)))
    names = draw(st.lists(st.sampled_from(SHARED_PARTS[frequency]), max_size=3, unique=True))
    if names == ["BYSETPOS"]:
        names = []
    interval = draw(st.integers(1, 4))
    parts = [f"FREQ={frequency}", f"INTERVAL={interval}", *(f"{name}={draw(VALUES[name])}" for name in names)]
    return ";".join(parts)


@settings(max_examples=120, deadline=None)
@given(rules())
def test_both_yield_the_same(rule: str) -> None:
    text = f"DTSTART:{START:%Y%m%dT%H%M%SZ}\nRRULE:{rule};UNTIL={UNTIL:%Y%m%dT%H%M%SZ}"
    assert after(rrule(text), START - timedelta(seconds=1), COMPARED) == _reference(text)


def _reference(text: str) -> list[datetime]:
    try:
        return list(islice(rrulestr(text), COMPARED))
    except ValueError:
        # INTERVAL and BYHOUR never meet, which dateutil refuses.
        return []
