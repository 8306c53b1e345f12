"""Schedules as they are sent to be looked at, and what is seen of them."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec

from services.gateway.schedules.words import What
from shared.timing.cautions import ScheduleWarning
from shared.vocabulary.limits import OCCURRENCES_SHOWN, OCCURRENCES_SHOWN_DEFAULT, SCHEDULES_PER_PREVIEW

TIMEZONE_DEFAULT = "Europe/Chisinau"


class ScheduleDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule to look at. Its texts are judged one by one, so that one bad schedule refuses no other; `after` is
    exclusive, and now when it is left out."""

    schedule_kind: str
    schedule_expr: str
    timezone: str = TIMEZONE_DEFAULT
    after: str | None = None
    count: Annotated[int, msgspec.Meta(ge=1, le=OCCURRENCES_SHOWN)] = OCCURRENCES_SHOWN_DEFAULT


class PreviewRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schedules: Annotated[list[ScheduleDraft], msgspec.Meta(min_length=1, max_length=SCHEDULES_PER_PREVIEW)]


class ShownTime(msgspec.Struct, frozen=True):
    """One instant twice: in UTC, and on the clock of the schedule's zone with its offset."""

    utc: str
    local: str


class PreviewFault(msgspec.Struct, frozen=True):
    """Why a schedule would be refused. `field` is a field of the schedule, `position` a character offset in it."""

    error_code: str
    message: str
    field: str
    position: int | None
    suggestion: str | None


class SchedulePreview(msgspec.Struct, frozen=True):
    occurrences: list[ShownTime]
    description: str | None
    warnings: list[ScheduleWarning]
    error: PreviewFault | None


class Previews(msgspec.Struct, frozen=True):
    """In the order of the request."""

    items: list[SchedulePreview]


class UpcomingItem(msgspec.Struct, frozen=True):
    """`status`: pending (waits in the queue), planned (will be put there) or skipped. `local`: `scheduled_for` on the
    clock of the task's zone."""

    scheduled_for: datetime
    run_at: datetime
    local: str
    run_id: UUID
    status: What


class Upcoming(msgspec.Struct, frozen=True):
    items: list[UpcomingItem]


class ExplainedItem(msgspec.Struct, frozen=True):
    """One occurrence: `what` became of it, and by which rule. `run_id` null: there was never a run."""

    scheduled_for: datetime
    local: str
    run_id: UUID | None
    what: What
    why: str


class Explanation(msgspec.Struct, frozen=True):
    """`task` says in a sentence how the task stands; `items` are the occurrences around `at`, in order of time."""

    task_id: UUID
    at: datetime
    task: str
    items: list[ExplainedItem]
