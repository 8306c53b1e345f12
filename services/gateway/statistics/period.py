"""PURE: the period that a query means, in whole hours of UTC."""

from datetime import UTC, datetime, timedelta

from services.gateway.http.instants import query_instant, wrong_query
from services.gateway.statistics.wire import AskedPeriod, Period

DAYS_DEFAULT = 30
DAYS_MAX = 366

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# What can be widened to whole hours, and asked of Postgres, without leaving the years that there are.
EARLIEST, LATEST = datetime(3, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def period_of(asked: AskedPeriod, now: datetime) -> Period:
    """Widened to whole hours. Raises BadRequest for what contradicts itself or is too long."""
    start = query_instant("start_time", asked.start_time)
    end = query_instant("end_time", asked.end_time)
    if asked.days is not None and not (start is None and end is None):
        raise wrong_query("days", "Give days or a range, not both.", "conflicting_parameters")
    end = _clamped(end or now)
    start = _clamped(start or end - timedelta(days=asked.days or DAYS_DEFAULT))
    if end <= start:
        raise wrong_query("end_time", "The end of the range must lie after its start.", "out_of_range")
    if end - start > DAYS_MAX * DAY:
        raise wrong_query("end_time", f"A range has at most {DAYS_MAX} days.", "out_of_range")
    since, until = _hour(start), _hour(end + HOUR - timedelta(microseconds=1))
    return Period(since, until, max(min(until, now) - since, HOUR) / DAY)


def _clamped(moment: datetime) -> datetime:
    return min(max(moment, EARLIEST), LATEST)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
