"""The dates in a recurrence set: DTSTART, RDATE, EXDATE and UNTIL (RFC 5545, 3.3.4 and 3.3.5)."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.timing.fault import INVALID_DATETIME, ScheduleFault
from shared.timing.seconds import seconds_of
from shared.timing.wall import instant_at
from shared.timing.zones import load_zone

WRITTEN = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z)?)?")
UNIVERSAL = ZoneInfo("UTC")


class Line(NamedTuple):
    """One property of the set, in upper case but for its parameters' values."""

    name: str
    parameters: dict[str, str]
    value: str
    position: int | None


class Moment(NamedTuple):
    """A date, or a date with a time, on the wall of a zone. A floating one named no zone of its own."""

    wall: int
    zone: ZoneInfo
    is_date: bool
    is_floating: bool

    @property
    def instant(self) -> int:
        return instant_at(self.zone, self.wall)


def read_start(line: Line, zone: ZoneInfo) -> Moment:
    """Raises ScheduleFault."""
    moments = read_moments(line, zone)
    if len(moments) > 1:
        raise _wrong("DTSTART is one date", line.position)
    return moments[0]


def read_moments(line: Line, zone: ZoneInfo) -> list[Moment]:
    """The dates of a DTSTART, RDATE or EXDATE line; floating ones are read in `zone`. Raises ScheduleFault."""
    kind = line.parameters.get("VALUE", "").upper()
    if set(line.parameters) - {"TZID", "VALUE"} or kind not in {"", "DATE", "DATE-TIME"}:
        raise _wrong(f"{line.name} takes the parameters TZID and VALUE=DATE or VALUE=DATE-TIME", line.position)
    named = line.parameters.get("TZID")
    home = zone if named is None else load_zone(named.strip('"'), field="schedule_expr")
    moments = [_moment(text, home, line.position) for text in line.value.split(",")]
    for moment in moments:
        if kind and moment.is_date != (kind == "DATE"):
            raise _wrong(f"{line.name} has VALUE={kind}, but its value is of the other type", line.position)
        if named is not None and not moment.is_floating:
            raise _wrong(f"{line.name} has a TZID and ends with Z: leave one of them out", line.position)
    return [moment._replace(is_floating=moment.is_floating and named is None) for moment in moments]


def read_excluded(line: Line, start: Moment | None, zone: ZoneInfo) -> Iterator[int]:
    for moment in read_moments(line, zone):
        if start and moment.is_date != start.is_date:
            raise _wrong(f"{line.name} must be of the type of DTSTART: a date, or a date with time", line.position)
        yield moment.instant


def read_until(text: str, start: Moment | None, zone: ZoneInfo, position: int | None) -> int:
    """The last instant of a rule. Raises ScheduleFault."""
    until = _moment(text, zone, position)
    if start and start.is_date:
        if not until.is_date:
            raise _wrong("UNTIL must be a date, as DTSTART is", position, text[:8])
    elif until.is_date:
        raise _wrong("UNTIL must have a time, as DTSTART has", position, f"{text}T235959Z")
    elif start and until.is_floating and not start.is_floating:
        raise _wrong("UNTIL must be in UTC when DTSTART has a zone", position, f"{text}Z")
    return until.instant


def _moment(text: str, zone: ZoneInfo, position: int | None) -> Moment:
    """`20260301` or `20260301T090000`, both floating, or `20260301T090000Z`."""
    found = WRITTEN.fullmatch(text)
    if found is None:
        plain = re.sub(r"[-:]|\.[0-9]+", "", text)
        near = plain if WRITTEN.fullmatch(plain) else None
        raise _wrong("A date is written 20260301T090000Z, 20260301T090000 or 20260301", position, near)
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        read = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError as error:
        raise _wrong("A date or a time in it does not exist", position) from error
    is_utc = found[7] is not None
    return Moment(seconds_of(read), UNIVERSAL if is_utc else zone, found[4] is None, not is_utc)


def _wrong(fact: str, position: int | None, suggestion: str | None = None) -> ScheduleFault:
    hint = f'; did you mean "{suggestion}"?' if suggestion else "."
    return ScheduleFault(fact + hint, code=INVALID_DATETIME, position=position, suggestion=suggestion)
