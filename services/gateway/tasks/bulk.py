"""One action on many tasks: each as if it were asked for alone, so many of them in one transaction."""

import time
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import Seats
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.tasks import repository
from services.gateway.tasks.actions import TaskActions
from services.gateway.tasks.standing import Unchanged
from services.gateway.tasks.wire import (
    BulkDetails,
    BulkDone,
    BulkExample,
    BulkFailure,
    BulkFilter,
    BulkOptions,
    PauseOptions,
    TaskFilter,
)
from shared.vocabulary.faults import Conflict, Forbidden, NotFound, invalid_field
from shared.vocabulary.limits import TASKS_PER_BULK
from shared.vocabulary.states import TaskStatus

# Their locks are held together.
TASKS_AT_ONCE = 50
# What cannot be done by then remains.
BULK_SECONDS = 5.0
BULKS_AT_ONCE = 4
EXAMPLES = 10


class BulkAction(StrEnum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


# What each can change.
CONCERNED: Mapping[BulkAction, tuple[TaskStatus, ...]] = MappingProxyType(
    {
        BulkAction.PAUSE: (TaskStatus.ACTIVE,),
        BulkAction.RESUME: (TaskStatus.PAUSED,),
        BulkAction.CANCEL: (TaskStatus.ACTIVE, TaskStatus.PAUSED),
    }
)


class Tally:
    """What has become of the tasks so far."""

    def __init__(self) -> None:
        self.changed = 0
        self.unchanged = 0
        self.failed: list[BulkFailure] = []

    @property
    def looked_at(self) -> int:
        return self.changed + self.unchanged + len(self.failed)

    def add(self, other: "Tally") -> None:
        self.changed += other.changed
        self.unchanged += other.unchanged
        self.failed += other.failed


class BulkActions:
    def __init__(self, actions: TaskActions) -> None:
        self._actions = actions
        self.seats = Seats(BULKS_AT_ONCE)

    async def preview(self, act: Act, action: BulkAction, options: BulkOptions) -> BulkDone:
        """What `carry_out` would begin with."""
        filters, statuses = _meant(action, options.filter)

        async def look(connection: AsyncConnection) -> BulkDone:
            owner = act.caller.owner_filter
            matched = await repository.count_matching(connection, filters, owner, statuses)
            ids = await repository.list_matching(connection, filters, owner, statuses, EXAMPLES)
            found = await repository.find_tasks(connection, ids)
            examples = [BulkExample(each, found[each].title, found[each].status) for each in ids if each in found]
            details = BulkDetails(matched=matched, remaining=matched, examples=examples)
            return BulkDone(f"This would {action} {_tasks(matched)}; nothing was changed.", details)

        return await act.read(look)

    async def carry_out(self, act: Act, action: BulkAction, options: BulkOptions) -> BulkDone:
        """TASKS_PER_BULK at most, in the order of their ids. What was done is done, also if the rest cannot be."""
        ends_at = time.monotonic() + BULK_SECONDS
        matched, ids = await act.read(lambda connection: self._list(connection, act, action, options.filter))
        tally = Tally()
        for task_ids in _chunks(ids):
            if time.monotonic() > ends_at:
                break
            tally.add(await act.write_part(partial(self._carry_out_each, act, action, options, task_ids)))
        remaining = max(0, matched - tally.looked_at)
        details = BulkDetails(
            matched=matched,
            changed=tally.changed,
            unchanged=tally.unchanged,
            failed=tally.failed,
            remaining=remaining,
        )
        return BulkDone(f"{_tasks(tally.changed)} changed.", details)

    async def _list(
        self, connection: AsyncConnection, act: Act, action: BulkAction, wanted: BulkFilter
    ) -> tuple[int, list[UUID]]:
        filters, statuses = _meant(action, wanted)
        owner = act.caller.owner_filter
        ids = await repository.list_matching(connection, filters, owner, statuses, TASKS_PER_BULK)
        if filters.ids is not None:
            known = await repository.list_matching(connection, TaskFilter(ids=filters.ids), owner, (), TASKS_PER_BULK)
            # Those that are not there are tried as well: so each is told of.
            ids = sorted({*ids, *filters.ids} - ({*known} - {*ids}))
            return len(ids), ids
        return await repository.count_matching(connection, filters, owner, statuses), ids

    async def _carry_out_each(
        self, act: Act, action: BulkAction, options: BulkOptions, task_ids: Sequence[UUID], connection: AsyncConnection
    ) -> Tally:
        tally = Tally()
        for task_id in task_ids:
            try:
                done = await self._single(connection, act, action, task_id, options)
            except (NotFound, Conflict, Forbidden) as fault:
                tally.failed.append(BulkFailure(task_id, fault.error_code, fault.detail))
                continue
            tally.unchanged += isinstance(done, Unchanged)
            tally.changed += not isinstance(done, Unchanged)
        return tally

    async def _single(
        self, connection: AsyncConnection, act: Act, action: BulkAction, task_id: UUID, options: BulkOptions
    ) -> ActionDone:
        match action:
            case BulkAction.PAUSE:
                pause = PauseOptions() if options.note is None else PauseOptions(note=options.note)
                return await self._actions.pause(connection, act, task_id, pause)
            case BulkAction.RESUME:
                return await self._actions.resume(connection, act, task_id, options.note)
            case BulkAction.CANCEL:
                return await self._actions.cancel(connection, act, task_id, options.note)
            case _:
                assert_never(action)


def check_filter(wanted: BulkFilter) -> None:
    """Raises Invalid for one that means all tasks."""
    if all(value is None for value in msgspec.structs.astuple(wanted)):
        named = ", ".join(BulkFilter.__struct_fields__)
        raise invalid_field("filter", f"Say which tasks are meant by at least one of {named}.", "required")


def _meant(action: BulkAction, wanted: BulkFilter) -> tuple[TaskFilter, tuple[TaskStatus, ...]]:
    """Tasks that are named by their ids are tried whatever their status."""
    filters = TaskFilter(**msgspec.structs.asdict(wanted))
    return filters, CONCERNED[action] if filters.ids is None else ()


def _chunks(task_ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(task_ids), TASKS_AT_ONCE):
        yield task_ids[start : start + TASKS_AT_ONCE]


def _tasks(number: int) -> str:
    return "1 task" if number == 1 else f"{number} tasks"
