"""What can be asked about schedules."""

from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from services.gateway.http.instants import query_instant, wrong_query
from services.gateway.schedules import repository
from services.gateway.schedules.computing import Turns
from services.gateway.schedules.explanation import explain
from services.gateway.schedules.outlook import upcoming
from services.gateway.schedules.previewing import preview
from services.gateway.schedules.wire import Explanation, PreviewRequest, Previews, Upcoming
from services.gateway.tasks.standing import no_such_task

FAR = timedelta(days=36_600)


class ScheduleService:
    def __init__(self, clock: DatabaseClock) -> None:
        self._clock = clock
        self._computing = Turns()

    async def preview(self, caller: Identity, wanted: PreviewRequest) -> Previews:
        """Each schedule in a turn of its own, so that a long request does not hold up a short one."""
        now, shortest = self._clock.now(), caller.shortest_interval_seconds
        return Previews(
            [
                await self._computing.run(caller.agent_id, partial(preview, draft, now, shortest))
                for draft in wanted.schedules
            ]
        )

    async def upcoming(self, act: Act, task_id: UUID, limit: int) -> Upcoming:
        async def look(connection: AsyncConnection) -> partial[Any]:
            task = await _schedule(connection, act.caller, task_id)
            waiting = await repository.list_waiting(connection, task_id)
            skips = await repository.list_skips(connection, task_id, task["now"])
            return partial(upcoming, task, waiting, skips, limit)

        return Upcoming(await self._computing.run(act.caller.agent_id, await act.read(look)))

    async def explain(self, act: Act, task_id: UUID, at: datetime | None, limit: int) -> Explanation:
        asked = query_instant("at", at)
        if asked is not None and abs(asked - self._clock.now()) > FAR:
            raise wrong_query("at", "This instant is more than a hundred years away.", "out_of_range")

        async def look(connection: AsyncConnection) -> partial[Any]:
            task = await _schedule(connection, act.caller, task_id)
            around = asked or task["now"]
            facts = await repository.find_facts(connection, task_id, around, limit)
            return partial(explain, task, facts, around, limit)

        explained: Explanation = await self._computing.run(act.caller.agent_id, await act.read(look))
        return explained


async def _schedule(connection: AsyncConnection, caller: Identity, task_id: UUID) -> dict[str, Any]:
    task = await repository.find_schedule(connection, task_id, caller.owner_filter)
    if task is None:
        raise no_such_task()
    return task
