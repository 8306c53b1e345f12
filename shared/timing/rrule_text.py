"""The lines of a recurrence set (RFC 5545): DTSTART, RRULE, RDATE and EXDATE."""

import re
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import msgspec

from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.timing.rrule_dates import Line, Moment, read_excluded, read_moments, read_start, read_until
from shared.timing.rrule_parts import HIGHEST_COUNT, Parts, parse_parts
from shared.vocabulary.limits import EXPRESSION_CHARACTERS, RRULE_SET_CHARACTERS

MOST_DATES = 1_000
MOST_RULES = 8
DATE_LINES = frozenset({"RDATE", "EXDATE"})
EXAMPLE = "RRULE:FREQ=WEEKLY;BYDAY=MO,WE"

# A line that begins with a blank goes on with the one before it, unless it is plainly a line of its own.
FOLD = re.compile(r"\r?\n[ \t](?!\s*(?:DTSTART|RRULE|RDATE|EXDATE|EXRULE)\b)", re.IGNORECASE)
LINE = re.compile(r"(?P<name>[A-Za-z]+)(?P<parameters>(?:;[A-Za-z-]+=[^;:,=]+)*):(?P<value>[^:]*)")
RULE = re.compile(r"[A-Za-z]+=.*")


class Rule(msgspec.Struct, frozen=True):
    """`until` is the last instant that may be one."""

    parts: Parts
    until: int | None


class Recurrence(msgspec.Struct, frozen=True):
    """What the text says. Dates are instants in seconds; without a DTSTART, `start` is None."""

    start: Moment | None
    rules: tuple[Rule, ...]
    dates: tuple[int, ...]
    excluded: frozenset[int]


def parse_recurrence(text: str, zone: ZoneInfo) -> Recurrence:
    """Raises ScheduleFault."""
    lines = _checked_lines(text)
    starts = [line for line in lines if line.name == "DTSTART"]
    if len(starts) > 1:
        raise _wrong("There is one DTSTART at most", starts[1].position)
    start = read_start(starts[0], zone) if starts else None
    home = start.zone if start else zone
    added = {moment.instant for line in lines if line.name == "RDATE" for moment in read_moments(line, home)}
    excluded = {at for line in lines if line.name == "EXDATE" for at in read_excluded(line, start, home)}
    rules = tuple(_rule(line, start, home) for line in lines if line.name == "RRULE")
    if not rules and not added:
        raise _wrong(f"There is neither an RRULE nor an RDATE; expected is, for example, {EXAMPLE}", None)
    if len(rules) > MOST_RULES:
        raise _wrong(f"There are at most {MOST_RULES} RRULE lines", None, code=TOO_COMPLEX)
    if sum(rule.parts.count or 0 for rule in rules) > HIGHEST_COUNT:
        raise _wrong(f"COUNT is at most {HIGHEST_COUNT} over all RRULE lines; use UNTIL", None, code=TOO_COMPLEX)
    return Recurrence(start, rules, tuple(sorted(added)), frozenset(excluded))


def _rule(line: Line, start: Moment | None, home: ZoneInfo) -> Rule:
    parts = parse_parts(line.value, line.position)
    if start and start.is_date and parts.has_times:
        raise _wrong("BYHOUR, BYMINUTE and BYSECOND need a DTSTART with a time", line.position)
    return Rule(parts, read_until(parts.until, start, home, line.position) if parts.until else None)


def _checked_lines(text: str) -> list[Line]:
    if len(text) > RRULE_SET_CHARACTERS:
        raise _wrong(f"A recurrence has at most {RRULE_SET_CHARACTERS} characters", None, code=TOO_COMPLEX)
    lines = list(_lines(text))
    if sum(len(line.value) for line in lines if line.name not in DATE_LINES) > EXPRESSION_CHARACTERS:
        raise _wrong(
            f"Apart from its dates a recurrence has at most {EXPRESSION_CHARACTERS} characters", None, code=TOO_COMPLEX
        )
    if sum(line.value.count(",") + 1 for line in lines if line.name in DATE_LINES) > MOST_DATES:
        raise _wrong(f"A recurrence has at most {MOST_DATES} dates", None, code=TOO_COMPLEX)
    return lines


def _lines(text: str) -> Iterator[Line]:
    unfolded = FOLD.sub("", text)
    for found in re.finditer(r"\S+", unfolded):
        yield _line(found.group(), found.start() if unfolded == text else None)


def _line(text: str, position: int | None) -> Line:
    if RULE.fullmatch(text):
        return Line("RRULE", {}, text.upper(), position)
    found = LINE.fullmatch(text)
    name = found["name"].upper() if found else ""
    if name == "EXRULE":
        raise _wrong("EXRULE is not supported; name the excluded dates in an EXDATE line", position)
    if found is None or name not in {"DTSTART", "RRULE", *DATE_LINES}:
        raise _wrong(f"The lines are DTSTART, RRULE, RDATE and EXDATE, as in {EXAMPLE}", position)
    pairs = (pair.partition("=") for pair in found["parameters"].split(";")[1:])
    parameters = {key.upper(): value for key, _, value in pairs}
    if name == "RRULE" and parameters:
        raise _wrong("RRULE takes no parameters", position)
    return Line(name, parameters, found["value"].upper(), position)


def _wrong(fact: str, position: int | None, *, code: str | None = None) -> ScheduleFault:
    if code is None:
        return ScheduleFault(f"{fact}.", position=position)
    return ScheduleFault(f"{fact}.", code=code, position=position)
