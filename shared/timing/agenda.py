"""From the parts of a recurrence rule to its days, each with its times."""

from collections.abc import Callable, Iterator

from shared.timing.beat import Beat, open_slots
from shared.timing.fault import TOO_COMPLEX, ScheduleFault
from shared.timing.periods import Periods
from shared.timing.rrule_parts import SECONDS, SUBDAILY, Frequency, Parts
from shared.timing.seconds import DAY
from shared.timing.times import Product, Times, places

DaysWithTimes = Iterator[tuple[int, Times]]
# The days >= the first one, as far as so many years reach.
Agenda = Callable[[int, int], DaysWithTimes]

LONGEST_CYCLE_DAYS = 1000
LONGEST_PERIOD_DAYS = {Frequency.YEARLY: 366, Frequency.MONTHLY: 31, Frequency.WEEKLY: 7}


def agenda_of(parts: Parts, start: int) -> Agenda:
    """For complete parts: nothing is left to be taken from the start. Raises ScheduleFault."""
    periods = Periods(parts, start // DAY)
    if parts.frequency in SUBDAILY:
        return _beaten(parts, start, periods)
    times = Product(parts.by_hour, parts.by_minute, parts.by_second)
    if parts.by_set_position and parts.frequency is not Frequency.DAILY:
        return _chosen_of_period(parts, periods, times)
    return _same_times(periods, _chosen(times, parts.by_set_position))


def _same_times(periods: Periods, times: Times) -> Agenda:
    def days_from(first: int, years: int) -> DaysWithTimes:
        return ((day, times) for day in periods.days_from(first, years))

    return days_from if times.size() else _nothing


def _chosen_of_period(parts: Parts, periods: Periods, times: Product) -> Agenda:
    days = LONGEST_PERIOD_DAYS[parts.frequency]
    if parts.frequency is Frequency.WEEKLY:
        days = len({day.weekday for day in parts.by_day})
    reachable = tuple(position for position in parts.by_set_position if abs(position) <= days * times.size())

    def days_from(first: int, years: int) -> DaysWithTimes:
        return periods.chosen_from(first, years, times, reachable)

    return days_from if reachable else _nothing


def _beaten(parts: Parts, start: int, periods: Periods) -> Agenda:
    beat = _beat(parts, start)

    def days_from(first: int, years: int) -> DaysWithTimes:
        lanes = ((day, beat.on(day)) for day in periods.days_from(first, years))
        return ((day, lane) for day, lane in lanes if lane is not None)

    return days_from if beat.is_ever_open and beat.within.size() else _nothing


def _beat(parts: Parts, start: int) -> Beat:
    unit_seconds = SECONDS[parts.frequency]
    within = Product(
        hours=(0,),
        minutes=parts.by_minute if parts.frequency is Frequency.HOURLY else (0,),
        seconds=(0,) if parts.frequency is Frequency.SECONDLY else parts.by_second,
    )
    chosen = _chosen(within, parts.by_set_position)
    is_open = open_slots(unit_seconds, parts.by_hour, parts.by_minute, parts.by_second)
    beat = Beat(unit_seconds, parts.interval, start // unit_seconds, is_open, chosen)
    if beat.is_ever_open and beat.cycle_days > LONGEST_CYCLE_DAYS:
        message = f"INTERVAL meets the BY parts only in a cycle of {beat.cycle_days} days; use FREQ=DAILY."
        raise ScheduleFault(message, code=TOO_COMPLEX)
    return beat


def _chosen(times: Product, positions: tuple[int, ...]) -> Times:
    return times.picked(places(positions, times.size())) if positions else times


def _nothing(_first: int, _years: int) -> DaysWithTimes:
    return iter(())
