"""PURE: the next occurrences of a task, as they will be put into the queue."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from services.gateway.schedules.facts import Waiting
from services.gateway.schedules.wire import UpcomingItem
from services.gateway.schedules.words import What
from services.gateway.tasks.ahead import ahead_of, plans_of
from shared.timing.fault import ScheduleFault
from shared.timing.occurrences import Planned
from shared.timing.zones import load_zone
from shared.vocabulary.states import Source, TaskStatus


def upcoming(
    task: Mapping[str, Any], waiting: Sequence[Waiting], skips: Sequence[Planned], limit: int
) -> list[UpcomingItem]:
    """By their nominal times. `task`: its columns with those of its cursor; `skips`: those from now on."""
    zone = load_zone(task["timezone"])
    identity = plans_of(task).identity
    pending = [each for each in waiting if each.is_pending and each.source == Source.SCHEDULE]
    skipped = [each for each in skips if each.id == identity(each.scheduled_for)]
    items = {each.id: _item(each, zone, What.PLANNED) for each in islice(planned(task), limit)}
    items |= {each.id: _item(each, zone, What.SKIPPED) for each in skipped if task["status"] == TaskStatus.ACTIVE}
    items |= {each.id: _item(each, zone, What.PENDING) for each in pending}
    return sorted(items.values(), key=lambda item: item.scheduled_for)[:limit]


def planned(task: Mapping[str, Any]) -> Iterator[Planned]:
    """What the scheduler has yet to come to. What it has missed follows the misfire policy, and is not shown; a
    schedule that was made bad by hand has nothing ahead."""
    if task["status"] != TaskStatus.ACTIVE or task["cursor_at"] is None:
        return iter(())
    try:
        return ahead_of(task, max(task["cursor_at"], task["now"]))
    except ScheduleFault:
        return iter(())


def local(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat()


def _item(occurrence: Planned | Waiting, zone: ZoneInfo, status: What) -> UpcomingItem:
    at = occurrence.scheduled_for
    return UpcomingItem(at, occurrence.run_at, local(at, zone), occurrence.id, status)
