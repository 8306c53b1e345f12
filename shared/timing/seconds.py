"""Instants and wall-clock times as whole seconds, which neither overflow nor compare by zone."""

from datetime import UTC, date, datetime, timedelta

DAY = 86_400
HOUR = 3_600
MINUTE = 60
FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST_DAY = date.max.toordinal()


def seconds_of(instant: datetime) -> int:
    """Seconds of an aware instant in UTC (or of a naive time on its own clock), fractions cut off."""
    offset = instant.utcoffset() or timedelta()
    clock = (instant.hour * 60 + instant.minute) * 60 + instant.second
    return instant.toordinal() * DAY + clock - offset // timedelta(seconds=1)


def instant_of(seconds: int) -> datetime | None:
    """The aware UTC instant, or None where no calendar reaches."""
    day, clock = divmod(seconds, DAY)
    if not 1 <= day <= LAST_DAY:
        return None
    return FIRST + timedelta(day - 1, clock)
