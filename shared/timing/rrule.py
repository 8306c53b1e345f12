"""Recurrence sets: what the rules and the added dates yield, less the excluded ones."""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from shared.timing.fault import NEVER_FIRES, ScheduleFault
from shared.timing.rrule_defaults import completed
from shared.timing.rrule_parts import SECONDS, SUBDAILY
from shared.timing.rrule_text import Recurrence, Rule, parse_recurrence
from shared.timing.rule import ElapsedRule, WallRule
from shared.timing.seconds import instant_of, seconds_of
from shared.timing.times import Times
from shared.timing.wall import instant_at, offset_at


class RecurrenceSchedule:
    def __init__(self, rules: tuple[ElapsedRule | WallRule, ...], recurrence: Recurrence, zone: ZoneInfo) -> None:
        self.recurrence = recurrence
        self.zone = zone
        self._rules = rules
        is_one_rule = len(rules) == 1 and not recurrence.dates
        self.apart_seconds = rules[0].apart_seconds if is_one_rule else 1

    def next_after(self, instant: datetime) -> datetime | None:
        found = next((at for at in self._from(seconds_of(instant)) if at not in self.recurrence.excluded), None)
        return None if found is None else instant_of(found)

    def times_on(self, day: int) -> Iterator[Times]:
        return (times for rule in self._rules if isinstance(rule, WallRule) for times in rule.times_on(day))

    def _from(self, after: int) -> Iterator[int]:
        """Occurrences before exclusion. Each rule is asked again only once its own last answer has been used up."""
        dates = self.recurrence.dates
        upcoming = [rule.next_after(after) for rule in self._rules]
        while True:
            place = bisect_right(dates, after)
            known = [at for at in (*upcoming, *dates[place : place + 1]) if at is not None]
            if not known:
                return
            after = min(known)
            yield after
            upcoming = [
                rule.next_after(after) if at == after else at for rule, at in zip(self._rules, upcoming, strict=True)
            ]


def compile_rrule(expr: str, zone: ZoneInfo, anchor: datetime) -> RecurrenceSchedule:
    """Raises ScheduleFault."""
    recurrence = parse_recurrence(expr, zone)
    if recurrence.start is not None:
        home, start = recurrence.start.zone, recurrence.start.wall
    else:
        instant = seconds_of(anchor)
        home, start = zone, instant + offset_at(zone, instant)
    rules = tuple(_rule(rule, start, home, is_start_written=recurrence.start is not None) for rule in recurrence.rules)
    if len(rules) > 1 and any(rule.next_after(0) is None for rule in rules):
        # Next to others it would go unnoticed, and each look for it in vain costs a whole horizon.
        raise ScheduleFault("One of the RRULE lines never fires; leave it out or mend it.", code=NEVER_FIRES)
    return RecurrenceSchedule(rules, recurrence, home)


def _rule(rule: Rule, start: int, zone: ZoneInfo, *, is_start_written: bool) -> ElapsedRule | WallRule:
    parts, until = rule.parts, rule.until
    if parts.frequency in SUBDAILY and not parts.has_dates and not parts.has_times:
        begin, step_seconds = instant_at(zone, start), parts.interval * SECONDS[parts.frequency]
        return ElapsedRule(begin, step_seconds, begin + (parts.count - 1) * step_seconds if parts.count else until)
    return WallRule(completed(parts, start, is_start_written=is_start_written), start, zone, until)
