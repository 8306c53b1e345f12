"""Short ways to ask a schedule, for the tests of this folder and the properties."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from shared.timing.fault import ScheduleFault
from shared.timing.schedule import Schedule, compile_schedule
from shared.vocabulary.faults import FieldFault
from shared.vocabulary.states import ScheduleKind

ANCHOR = datetime(2026, 1, 15, 9, 34, 56, tzinfo=UTC)


def cron(expr: str, zone: str = "UTC") -> Schedule:
    return compile_schedule(ScheduleKind.CRON, expr, zone, anchor=ANCHOR)


def rrule(expr: str, zone: str = "UTC") -> Schedule:
    return compile_schedule(ScheduleKind.RRULE, expr, zone, anchor=ANCHOR)


def once(expr: str, zone: str = "UTC") -> Schedule:
    return compile_schedule(ScheduleKind.ONCE, expr, zone, anchor=ANCHOR)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def after(schedule: Schedule, instant: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    at: datetime | None = instant
    while len(found) < count and at is not None:
        at = schedule.next_after(at)
        found += [at] if at else []
    return found


def local(schedule: Schedule, zone: str, since: str, count: int) -> list[str]:
    """The next occurrences after a local time, as the clocks of the zone show them: `29 03:00+0300`."""
    home = ZoneInfo(zone)
    start = datetime.fromisoformat(since).replace(tzinfo=home).astimezone(UTC)
    return [at.astimezone(home).strftime("%d %H:%M%z") for at in after(schedule, start, count)]


def fault_of(kind: ScheduleKind, expr: str, zone: str = "UTC") -> FieldFault:
    try:
        compile_schedule(kind, expr, zone, anchor=ANCHOR)
    except ScheduleFault as refused:
        return refused.wrong
    raise AssertionError(f"{expr!r} was accepted")
