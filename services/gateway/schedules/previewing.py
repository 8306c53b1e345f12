"""PURE: what is seen of one schedule before it is saved."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from services.gateway.schedules.wire import PreviewFault, ScheduleDraft, SchedulePreview, ShownTime
from shared.tasks.event_schedule import check_event_schedule
from shared.timing.acceptance import check_schedule
from shared.timing.fault import IN_PAST, INVALID_DATETIME, NEVER_FIRES, ScheduleFault
from shared.timing.once import compile_once
from shared.timing.preview import describe, upcoming, warnings
from shared.timing.schedule import Schedule, compile_schedule
from shared.timing.zones import load_zone
from shared.vocabulary.decoding import close_match
from shared.vocabulary.states import ScheduleKind

KINDS = tuple(kind.value for kind in ScheduleKind)
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
BEFORE_ALL = EARLIEST - timedelta(days=2)
UTC_ZONE = ZoneInfo("UTC")


def preview(draft: ScheduleDraft, now: datetime, min_interval_seconds: int) -> SchedulePreview:
    """What is wrong with a schedule is its own error."""
    try:
        return _preview(draft, now, min_interval_seconds)
    except ScheduleFault as fault:
        wrong = fault.wrong
        error = PreviewFault(wrong.code, wrong.message, wrong.field, wrong.position, wrong.suggestion)
        return SchedulePreview([], None, [], error)


def shown(at: datetime, zone: ZoneInfo) -> ShownTime:
    return ShownTime(at.isoformat().replace("+00:00", "Z"), at.astimezone(zone).isoformat())


def _preview(draft: ScheduleDraft, now: datetime, min_interval_seconds: int) -> SchedulePreview:
    kind, zone = _kind(draft.schedule_kind), load_zone(draft.timezone)
    if kind is ScheduleKind.EVENT:
        check_event_schedule(draft.schedule_expr)
        return SchedulePreview([], _words_of_event(draft.schedule_expr), [], None)
    after = now if draft.after is None else _instant(draft.after)
    schedule = compile_schedule(kind, draft.schedule_expr, draft.timezone, anchor=now.replace(microsecond=0))
    _check(schedule, after, min_interval_seconds, is_after_given=draft.after is not None)
    times = upcoming(schedule, after, draft.count)
    words = describe(kind, draft.schedule_expr, draft.timezone)
    return SchedulePreview([shown(at, zone) for at in times], words, warnings(schedule, after), None)


def _check(schedule: Schedule, after: datetime, min_interval_seconds: int, *, is_after_given: bool) -> None:
    """As it would be checked when it is saved. Who asks from another instant than now may find that nothing follows:
    that alone makes no schedule wrong, unless nothing ever came before."""
    try:
        check_schedule(schedule, now=after, min_interval_seconds=min_interval_seconds)
    except ScheduleFault as fault:
        is_nothing_left = fault.wrong.code in (NEVER_FIRES, IN_PAST)
        if not (is_after_given and is_nothing_left and schedule.next_after(BEFORE_ALL) is not None):
            raise


def _kind(text: str) -> ScheduleKind:
    if text in KINDS:
        return ScheduleKind(text)
    message = f"schedule_kind is one of {', '.join(KINDS)}."
    raise ScheduleFault(message, field="schedule_kind", suggestion=close_match(text, KINDS))


def _instant(text: str) -> datetime:
    try:
        at = compile_once(text, UTC_ZONE).at if _has_offset(text) else None
    except ScheduleFault:
        at = None
    if at is None or at < EARLIEST:
        message = "This must be an instant since 1900 with its offset from UTC."
        raise ScheduleFault(message, code=INVALID_DATETIME, field="after", suggestion="2030-01-31T09:00:00Z")
    return at


def _has_offset(text: str) -> bool:
    return text[-1:] in ("Z", "z") or text[-6:-5] in ("+", "-")


def _words_of_event(pattern: str) -> str:
    covers = "any topic like" if "*" in pattern else "the topic"
    return f"Whenever an event of {covers} {pattern} is published"
