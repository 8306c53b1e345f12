"""Expressions drawn from the whole dialect, and text that only looks like it."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from shared.timing.fault import ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.vocabulary.states import ScheduleKind

# Two changes a year, half hours, midnight gaps, changes of the day itself, and whole days left out.
CHANGING_ZONES = (
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/New_York",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Asia/Amman",
    "Australia/Lord_Howe",
    "Europe/Chisinau",
    "Pacific/Apia",
    "Pacific/Kwajalein",
    "UTC",
)
ANCHOR = datetime(2026, 1, 15, 9, 34, 56, tzinfo=UTC)

zones = st.sampled_from(CHANGING_ZONES)
instants = st.integers(0, 200 * 365 * 86_400).map(lambda s: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=s))


def _field(low: int, high: int, *more: str) -> st.SearchStrategy[str]:
    number = st.integers(low, high).map(str)
    step = st.integers(1, high).map(str)
    span = st.tuples(number, number).map("-".join)
    item = st.one_of(number, number, span, st.tuples(span, step).map("/".join), step.map("*/{}".format))
    listed = st.lists(item, min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), listed, *(st.just(text) for text in more))


five_fields = st.tuples(
    _field(0, 59),
    _field(0, 23),
    _field(1, 31, "?", "L", "LW", "15W", "L-2", "29-L"),
    _field(1, 12, "JAN-mar", "nov-FEB"),
    _field(0, 7, "MON-FRI", "FRI-MON", "5L", "MON#2,FRI#4"),
).map(" ".join)
cron_expressions = st.one_of(five_fields, st.tuples(_field(0, 59), five_fields).map(" ".join))


def _numbers(low: int, high: int, *, signed: bool = False) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    either = st.one_of(number, number.map(int.__neg__)) if signed else number
    return st.lists(either, min_size=1, max_size=4).map(lambda values: ",".join(map(str, values)))


PARTS = {
    "INTERVAL": st.integers(1, 40).map(str),
    "COUNT": st.integers(1, 200).map(str),
    "WKST": st.sampled_from(["MO", "SU", "WE"]),
    "BYMONTH": _numbers(1, 12),
    "BYMONTHDAY": _numbers(1, 31, signed=True),
    "BYYEARDAY": _numbers(1, 366, signed=True),
    "BYWEEKNO": _numbers(1, 53, signed=True),
    "BYDAY": st.lists(st.sampled_from(["MO", "WE", "FR", "SU", "1TU", "-1TH"]), min_size=1, max_size=3).map(",".join),
    "BYHOUR": _numbers(0, 23),
    "BYMINUTE": _numbers(0, 59),
    "BYSECOND": _numbers(0, 59),
    "BYSETPOS": _numbers(1, 9, signed=True),
}
FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")


@st.composite
def rules(draw: st.DrawFn) -> str:
    names = draw(st.lists(st.sampled_from(sorted(PARTS)), max_size=4, unique=True))
    parts = [f"FREQ={draw(st.sampled_from(FREQUENCIES))}", *(f"{name}={draw(PARTS[name])}" for name in names)]
    return "RRULE:" + ";".join(parts)


starts: st.SearchStrategy[list[str]] = st.one_of(
    st.just([]),
    instants.map(lambda at: [f"DTSTART:{at:%Y%m%dT%H%M%S}"]),
    instants.map(lambda at: [f"DTSTART;TZID=Australia/Lord_Howe:{at:%Y%m%dT%H%M%S}"]),
    st.just(["DTSTART:00010101T000000Z"]),
    st.just(["DTSTART:99991231T235959Z"]),
)
dates = st.lists(instants.map(lambda at: f"{at:%Y%m%dT%H%M%SZ}"), min_size=1, max_size=5).map(",".join)
date_lines = st.lists(st.one_of(dates.map("RDATE:{}".format), dates.map("EXDATE:{}".format)), max_size=2)
recurrences = st.tuples(starts, st.lists(rules(), min_size=1, max_size=2), date_lines).map(
    lambda lines: "\n".join([*lines[0], *lines[1], *lines[2]])
)


@st.composite
def schedules(draw: st.DrawFn) -> Schedule | None:
    """None where the pieces made no acceptable whole."""
    if draw(st.booleans()):
        kind, expr = ScheduleKind.CRON, draw(cron_expressions)
    else:
        kind, expr = ScheduleKind.RRULE, draw(recurrences)
    try:
        return compile_schedule(kind, expr, draw(zones), anchor=ANCHOR)
    except ScheduleFault:
        return None


PIECES = (
    *("*", "/", "-", ",", "?", "#", "L", "W", "0", "9", "60", "31", "MON", "@daily", " ", "\n", "\n ", ";", ":", "="),
    *("FREQ=", "DAILY", "SECONDLY", "RRULE:", "DTSTART", "TZID=", "EXDATE:", "BYDAY=", "INTERVAL=", "COUNT=", "UNTIL="),
    *(
        "20260301T090000Z",
        "2026-03-01T09:00:00",
        "+02:00",
        "99999999999",
        "\u00b9",
        "\uff11",
        "\x00",
        "\ud800",
        "\u00e9",
    ),
)
garbled = st.one_of(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.text(max_size=40))
