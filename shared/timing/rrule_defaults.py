"""What a recurrence rule leaves open and takes from its start (RFC 5545, 3.3.10)."""

from datetime import date

from msgspec.structs import replace

from shared.timing.rrule_parts import Frequency, Parts, WeekdayPart
from shared.timing.seconds import DAY


def completed(parts: Parts, start: int, *, is_start_written: bool) -> Parts:
    """The rule with the day and the time of its start where it names none of its own."""
    return _with_times(_with_days(parts, start), start, is_start_written=is_start_written)


def _with_days(parts: Parts, start: int) -> Parts:
    day = date.fromordinal(start // DAY)
    has_days = parts.by_month_day or parts.by_year_day or parts.by_day
    match parts.frequency:
        case Frequency.YEARLY if parts.by_week_number and not has_days:
            return replace(parts, by_day=(WeekdayPart(day.weekday()),))
        case Frequency.YEARLY if not has_days:
            return replace(parts, by_month=parts.by_month or frozenset({day.month}), by_month_day=frozenset({day.day}))
        case Frequency.MONTHLY if not has_days:
            return replace(parts, by_month_day=frozenset({day.day}))
        case Frequency.WEEKLY if not has_days:
            return replace(parts, by_day=(WeekdayPart(day.weekday()),))
        case _:
            return parts


def _with_times(parts: Parts, start: int, *, is_start_written: bool) -> Parts:
    """Where no start was written, an hour without minutes means the full hour, and not the minute of the anchor."""
    minutes, second = divmod(start % DAY, 60)
    hour, minute = divmod(minutes, 60)
    if not is_start_written and parts.has_times:
        minute, second = 0 if parts.by_hour else minute, 0
    match parts.frequency:
        case Frequency.SECONDLY:
            return parts
        case Frequency.MINUTELY:
            return replace(parts, by_second=parts.by_second or (second,))
        case Frequency.HOURLY:
            return replace(parts, by_minute=parts.by_minute or (minute,), by_second=parts.by_second or (second,))
        case _:
            return replace(
                parts,
                by_hour=parts.by_hour or (hour,),
                by_minute=parts.by_minute or (minute,),
                by_second=parts.by_second or (second,),
            )
