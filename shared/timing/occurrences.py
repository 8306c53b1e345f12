"""The occurrences that a schedule will have: nominal time, identity, and the time at which each is to run."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.timing.exclusions import MICROSECOND
from shared.timing.jitter import jitter
from shared.timing.schedule import Schedule
from shared.vocabulary.ids import AT_ITS_TIME, occurrence_id


class Planned(msgspec.Struct, frozen=True):
    id: UUID
    scheduled_for: datetime
    run_at: datetime


class Plans(msgspec.Struct, frozen=True):
    """What the occurrences of a task depend on beside its schedule."""

    task_id: UUID
    schedule_rev: int
    jitter_seconds: int

    def identity(self, at: datetime) -> UUID:
        return occurrence_id(self.task_id, self.schedule_rev, at, AT_ITS_TIME)

    def occurrence(self, at: datetime, following: datetime | None) -> Planned:
        """`following`: the nominal time after `at`, which a delay never reaches."""
        identity = self.identity(at)
        gap: timedelta | None = None if following is None else following - at
        return Planned(identity, at, at + jitter(identity.bytes, self.jitter_seconds, gap))


def occurrences_from(
    schedule: Schedule, plans: Plans, start: datetime, runs_left: int | None = None
) -> Iterator[Planned]:
    """From `start` on, itself included, one at a time; at most `runs_left` of them."""
    at = schedule.next_after(start - MICROSECOND)
    while at is not None and runs_left != 0:
        following = schedule.next_after(at)
        yield plans.occurrence(at, following)
        at = following
        runs_left = None if runs_left is None else runs_left - 1
