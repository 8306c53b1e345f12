"""What the author of an accepted schedule should know: it does what it says, and perhaps not what was meant."""

from calendar import monthrange
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from shared.timing.cron import CronSchedule
from shared.timing.cron_days import MonthDays
from shared.timing.rrule import RecurrenceSchedule
from shared.timing.rrule_parts import Frequency, Parts
from shared.timing.schedule import Schedule
from shared.timing.seconds import DAY, seconds_of
from shared.timing.wall import as_they_come, moved_forward, offset_at

MANY_A_DAY = 96
FAR_AWAY = timedelta(days=366)
DAYS_WATCHED = 366
SHORTEST_MONTH_DAYS = 28
COMMON_YEAR = 2025


class ScheduleWarning(msgspec.Struct, frozen=True):
    code: str
    message: str


def warnings(schedule: Schedule, after: datetime) -> list[ScheduleWarning]:
    """What is worth a word about the schedule, seen from an instant."""
    found = list(_on_frequency(schedule, after))
    if isinstance(schedule, CronSchedule):
        found += _on_cron(schedule)
    if isinstance(schedule, RecurrenceSchedule):
        found += {warning for rule in schedule.recurrence.rules for warning in _on_parts(rule.parts)}
    if isinstance(schedule, CronSchedule | RecurrenceSchedule):
        found += _on_clock_changes(schedule, after)
    return found


def _on_frequency(schedule: Schedule, after: datetime) -> Iterator[ScheduleWarning]:
    first = at = schedule.next_after(after)
    if first is None:
        return
    if first - after > FAR_AWAY:
        yield ScheduleWarning("far_away", f"The first occurrence is more than a year away: {first.isoformat()}.")
    more = 0
    while at is not None and at - first < timedelta(days=1) and more <= MANY_A_DAY:
        at = schedule.next_after(at)
        more += 1
    if more > MANY_A_DAY:
        yield ScheduleWarning("many_a_day", f"There are more than {MANY_A_DAY} occurrences a day.")


def _on_cron(schedule: CronSchedule) -> Iterator[ScheduleWarning]:
    fields = schedule.fields
    if fields.days.is_either:
        message = (
            "Day-of-month and day-of-week are both restricted: it fires when either matches, not only when both do."
        )
        yield ScheduleWarning("either_day", message)
    if fields.has_seconds:
        yield ScheduleWarning("seconds", "There are six fields: the first one is the second, not the minute.")
    if not fields.days.is_either and _skips_months(fields.days.of_month, fields.months):
        yield _skipped_months("L")
    for unit, values in (("hour", fields.times.minutes), ("minute", fields.times.seconds)):
        if _restarts_unevenly(values):
            message = f"The step does not divide 60: it starts anew with every {unit}, after a shorter interval."
            yield ScheduleWarning("uneven_step", message)


def _on_parts(parts: Parts) -> Iterator[ScheduleWarning]:
    if parts.frequency is Frequency.SECONDLY or len(parts.by_second) > 1:
        yield ScheduleWarning("seconds", "It fires by the second.")
    days = parts.by_month_day
    if parts.frequency is Frequency.MONTHLY and days and min(map(abs, days)) > SHORTEST_MONTH_DAYS:
        yield _skipped_months("BYMONTHDAY=-1")


def _skips_months(days: MonthDays, months: frozenset[int]) -> bool:
    has_other_days = days.to_last or days.before_last or days.nearest_weekday_before_last is not None
    wanted = days.nearest_weekday or min(days.plain, default=0)
    return not has_other_days and any(wanted > monthrange(COMMON_YEAR, month)[1] for month in months)


def _skipped_months(last_day: str) -> ScheduleWarning:
    message = f"Months without that day are left out; {last_day} is the last day of every month."
    return ScheduleWarning("skips_months", message)


def _restarts_unevenly(values: tuple[int, ...]) -> bool:
    """Whether the values look like a step `*/n` with an n that does not divide 60."""
    steps = {later - earlier for earlier, later in pairwise(values)}
    return len(steps) == 1 and values[0] == 0 and 60 % min(steps) != 0 and values[-1] + min(steps) >= 60


def _on_clock_changes(schedule: CronSchedule | RecurrenceSchedule, after: datetime) -> Iterator[ScheduleWarning]:
    is_wildcard = isinstance(schedule, CronSchedule) and schedule.fields.is_wildcard
    changes = [] if is_wildcard else _days_of_change(schedule.zone, seconds_of(after) // DAY)
    if gap := next((day for day in changes if _has_time_in_gap(schedule, day)), None):
        message = "does not exist on that clock: it runs right after the gap, or later by the length of the gap."
        yield ScheduleWarning("in_gap", f"On {_shown(gap)} a time of the schedule {message}")
    if fold := next((day for day in changes if _has_time_in_fold(schedule, day)), None):
        message = "comes twice on that clock: it runs the first time only."
        yield ScheduleWarning("in_fold", f"On {_shown(fold)} a time of the schedule {message}")


def _days_of_change(zone: ZoneInfo, first: int) -> list[int]:
    """The days around each change of the clocks in the year ahead."""
    offsets = [offset_at(zone, (first + n) * DAY) for n in range(DAYS_WATCHED + 1)]
    changes = (first + n for n in range(DAYS_WATCHED) if offsets[n] != offsets[n + 1])
    return [day for change in changes for day in (change - 1, change, change + 1)]


def _has_time_in_gap(schedule: CronSchedule | RecurrenceSchedule, day: int) -> bool:
    spans = [(s.start - day * DAY, s.end - day * DAY) for s in moved_forward(schedule.zone, day) if s.is_gap]
    return any(times.first(*span) is not None for times in schedule.times_on(day) for span in spans)


def _has_time_in_fold(schedule: CronSchedule | RecurrenceSchedule, day: int) -> bool:
    stretches = as_they_come(schedule.zone, day)
    spans = [(s.start - day * DAY, min(s.end, before.end) - day * DAY) for before, s in pairwise(stretches)]
    spans = [(start, end) for start, end in spans if start < end]
    return any(times.first(*span) is not None for times in schedule.times_on(day) for span in spans)


def _shown(day: int) -> str:
    return datetime.fromordinal(day).strftime("%Y-%m-%d")
