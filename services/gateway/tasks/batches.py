"""Many new tasks at once: all of them, or none."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record_all
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.database import asking
from services.gateway.http.act import Act
from services.gateway.schedules.computing import Turns
from services.gateway.tasks import repository
from services.gateway.tasks.judging import accept_all, inside
from services.gateway.tasks.service import check_may_listen, owner_of
from services.gateway.tasks.wire import BatchedTask, TasksCreated, TaskView
from shared.outbound.addresses import AddressPolicy
from shared.streams.doorbell import Bell
from shared.tasks.creating import Accepted, dedupe_key_taken, insert_tasks
from shared.tasks.repeated import find_recent, has_window
from shared.tasks.room import check_room
from shared.tasks.wanted import TaskCreate
from shared.vocabulary.decoding import invalid
from shared.vocabulary.faults import Invalid
from shared.vocabulary.ids import uuid7


class TaskBatches:
    def __init__(self, clock: DatabaseClock, policy: AddressPolicy) -> None:
        self._clock = clock
        self._policy = policy
        self._computing = Turns()

    async def accept(self, caller: Identity, wanted: Sequence[TaskCreate]) -> list[Accepted]:
        """What `create` takes. Before its transaction, because there may be others to wait for. Raises Invalid with
        the faults of all."""
        for kind in {task.schedule_kind for task in wanted}:
            check_may_listen(caller, kind)
        shortest = caller.shortest_interval_seconds
        judge = partial(accept_all, wanted, self._clock.now(), self._policy, shortest)
        return await self._computing.run(caller.agent_id, judge)

    async def create(self, connection: AsyncConnection, act: Act, accepted: Sequence[Accepted]) -> TasksCreated:
        owners = await _owners(connection, act.caller, accepted)
        earlier = await _earlier(connection, owners, accepted)
        new = [index for index in range(len(accepted)) if index not in earlier]
        if new and not act.caller.is_admin:
            await check_room(asking(connection), act.caller.agent_id, len(new))
        ids = await self._insert(connection, act, owners, {index: accepted[index] for index in new})
        views = await repository.find_tasks(connection, [*earlier.values()])
        items = [
            _new_item(ids[index], each) if index in ids else _item(views[earlier[index]])
            for index, each in enumerate(accepted)
        ]
        return TasksCreated(items, len(ids))

    async def _insert(
        self, connection: AsyncConnection, act: Act, owners: Sequence[UUID], new: Mapping[int, Accepted]
    ) -> Mapping[int, UUID]:
        """The id of each. Raises Conflict where a dedupe_key is taken."""
        if not new:
            return {}
        now = self._clock.now()
        # In their order, so that they are listed in it.
        ids = dict(zip(new, sorted(uuid7(now) for _ in new), strict=True))
        rows = [(ids[index], owners[index], each) for index, each in new.items()]
        made = await insert_tasks(asking(connection), rows, act.traceparent)
        for index, task_id in ids.items():
            if task_id not in made:
                raise dedupe_key_taken(f"tasks[{index}].dedupe_key")
        told = [(task_id, {"title": each.task.title, "owner": str(owner_id)}) for task_id, owner_id, each in rows]
        await record_all(connection, act, Action.TASK_CREATED, told)
        act.ring(Bell.TASK_CHANGES)
        return ids


async def _owners(connection: AsyncConnection, caller: Identity, accepted: Sequence[Accepted]) -> list[UUID]:
    """Of each, in their order. Raises Invalid."""
    known: dict[UUID | None, UUID] = {}
    for index, each in enumerate(accepted):
        named = each.task.created_by
        if named not in known:
            try:
                known[named] = await owner_of(connection, caller, named)
            except Invalid as refusal:
                raise invalid([inside(fault, index) for fault in refusal.validation_errors]) from None
    return [known[each.task.created_by] for each in accepted]


async def _earlier(
    connection: AsyncConnection, owners: Sequence[UUID], accepted: Sequence[Accepted]
) -> Mapping[int, UUID]:
    """Which of them an earlier task stands for."""
    by_owner: dict[UUID, list[TaskCreate]] = defaultdict(list)
    for owner_id, each in zip(owners, accepted, strict=True):
        if has_window(each.task):
            by_owner[owner_id].append(each.task)
    found = {
        (owner_id, key): task_id
        for owner_id, tasks in sorted(by_owner.items())
        for key, task_id in (await find_recent(asking(connection), owner_id, tasks)).items()
    }
    named = [(owner_id, each.task.dedupe_key) for owner_id, each in zip(owners, accepted, strict=True)]
    return {
        index: found[owner_id, key]
        for index, (owner_id, key) in enumerate(named)
        if key is not None and has_window(accepted[index].task) and (owner_id, key) in found
    }


def _new_item(task_id: UUID, accepted: Accepted) -> BatchedTask:
    task = accepted.task
    return BatchedTask(
        id=task_id,
        title=task.title,
        dedupe_key=task.dedupe_key,
        next_run_at=accepted.first_at,
        version=1,
        is_new=True,
    )


def _item(task: TaskView) -> BatchedTask:
    return BatchedTask(
        id=task.id,
        title=task.title,
        dedupe_key=task.dedupe_key,
        next_run_at=task.next_run_at,
        version=task.version,
        is_new=False,
    )
