"""What an agent can do with its inbox."""

import time
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import Database
from services.gateway.http.act import Act
from services.gateway.http.replies import ActionDone
from services.gateway.inbox import repository
from services.gateway.inbox.repository import Held, Spent
from services.gateway.inbox.standing import error_of_dead, error_of_spent, refused, settled_before
from services.gateway.inbox.waiters import Waiter, Waiters
from services.gateway.inbox.wire import AckOptions, ExtendOptions, InboxItem, NackOptions
from services.gateway.runs.steps import lock_run, settle_step
from services.gateway.secrets.echoes import Echoes
from shared.runtime.bells import Bells
from shared.streams.doorbell import Bell
from shared.vocabulary.faults import NotFound
from shared.vocabulary.states import SettledAs, WaitKind

KINDS = (WaitKind.INBOX,)


class Taken(msgspec.Struct, frozen=True):
    """`is_run_answered`: a run goes on, with the failure of a step."""

    items: list[InboxItem]
    is_run_answered: bool


class InboxService:
    def __init__(self, database: Database, waiters: Waiters, bells: Bells, echoes: Echoes) -> None:
        self._database = database
        self._echoes = echoes
        self._bells = bells
        self.waiters = waiters

    async def take(
        self, agent_id: UUID, limit: int, visibility_seconds: int, *, is_hurried: bool = False
    ) -> list[InboxItem]:
        """What is visible now, which nobody else is given meanwhile. One transaction. `is_hurried`: what nobody will
        have any more is only looked for when there is nothing to hand out."""

        async def change(connection: AsyncConnection) -> Taken:
            items = await repository.claim(connection, agent_id, limit, visibility_seconds)
            if items and is_hurried:
                return Taken(items, is_run_answered=False)
            return Taken(items, await _settle_spent(connection, agent_id))

        taken = await self._database.write(change)
        if taken.is_run_answered:
            self._bells.want(Bell.DUE_WORK)
        if taken.items:
            # There may be more than this one was given.
            self.waiters.wake(agent_id)
        return taken.items

    async def wait(
        self, waiter: Waiter, agent_id: UUID, limit: int, visibility_seconds: int, wait_seconds: int
    ) -> list[InboxItem]:
        """The same, as soon as there is something. Nothing of the database is held meanwhile."""
        ends_at, is_hurried = time.monotonic() + wait_seconds, False
        while not waiter.is_over:
            items = await self.take(agent_id, limit, visibility_seconds, is_hurried=is_hurried)
            remaining_seconds = ends_at - time.monotonic()
            if items or remaining_seconds <= 0:
                return items
            await waiter.woken(remaining_seconds)
            is_hurried = True
        return []

    async def still_held(self, held: dict[UUID, int]) -> dict[UUID, int]:
        """Which of these deliveries are still to be acknowledged."""
        return await self._database.read(lambda connection: repository.still_held(connection, held)) if held else {}

    async def ack(self, connection: AsyncConnection, act: Act, message_id: UUID, options: AckOptions) -> ActionDone:
        message = await _found(connection, act, message_id)
        if not await repository.settle(connection, message_id, options.fence, SettledAs.ACKED):
            return await _as_before(connection, act, message_id, options.fence, SettledAs.ACKED)
        is_run_told = await self._answer(connection, act, message, output=options.output)
        act.after_commit(lambda: self.waiters.make_room(act.caller.agent_id))
        return ActionDone("The message is acknowledged.", {"id": message_id, "is_run_told": is_run_told})

    async def nack(self, connection: AsyncConnection, act: Act, message_id: UUID, options: NackOptions) -> ActionDone:
        message = await _found(connection, act, message_id)
        if not options.dead:
            visible_at = await repository.move(connection, message_id, options.fence, options.delay_seconds)
            if visible_at is None:
                raise refused(await _found(connection, act, message_id))
            act.after_commit(lambda: self._wake_all(act.caller.agent_id))
            return ActionDone("The message comes again.", {"id": message_id, "visible_at": visible_at})
        if not await repository.settle(connection, message_id, options.fence, SettledAs.DEAD):
            return await _as_before(connection, act, message_id, options.fence, SettledAs.DEAD)
        act.after_commit(lambda: self.waiters.make_room(act.caller.agent_id))
        is_run_told = await self._answer(connection, act, message, error=error_of_dead(options.error))
        return ActionDone("The message is given up.", {"id": message_id, "is_run_told": is_run_told})

    async def extend(
        self, connection: AsyncConnection, act: Act, message_id: UUID, options: ExtendOptions
    ) -> ActionDone:
        await _found(connection, act, message_id)
        visible_until = await repository.move(connection, message_id, options.fence, options.visibility_seconds)
        if visible_until is None:
            raise refused(await _found(connection, act, message_id))
        return ActionDone("The message is yours for longer.", {"id": message_id, "visible_until": visible_until})

    async def _answer(
        self,
        connection: AsyncConnection,
        act: Act,
        message: Held,
        *,
        output: object = None,
        error: dict[str, object] | None = None,
    ) -> bool:
        """Whether a run waited for it and goes on. It is told without the secrets that the run was given."""
        if not message.is_awaited or message.run_id is None or message.step_id is None:
            return False
        redactor = await self._echoes.redactor_of(connection, message.run_id)
        output, error = redactor.value(output), redactor.value(error)
        is_told = await settle_step(
            connection, message.run_id, message.step_id, output=output, error=error, kinds=KINDS
        )
        if is_told:
            act.ring(Bell.DUE_WORK)
        return is_told

    def _wake_all(self, agent_id: UUID) -> None:
        """Those of other gateways find it within a second."""
        self.waiters.make_room(agent_id)
        self.waiters.wake(agent_id)


async def _found(connection: AsyncConnection, act: Act, message_id: UUID) -> Held:
    """The run is locked before the message, as everywhere: so nobody waits in a circle."""
    message = await repository.find(connection, message_id, act.caller.agent_id)
    if message is None:
        raise NotFound("There is no such message in this inbox.")
    if message.is_awaited and message.run_id is not None:
        await lock_run(connection, message.run_id)
    return message


async def _as_before(
    connection: AsyncConnection, act: Act, message_id: UUID, fence: int, wanted: SettledAs
) -> ActionDone:
    """Asked for twice: what was done is said again. Raises Conflict when it was not done, or by another."""
    message = await _found(connection, act, message_id)
    if not settled_before(message, fence, wanted):
        raise refused(message)
    return ActionDone(f"The message is {wanted} already.", {"id": message_id})


async def _settle_spent(connection: AsyncConnection, agent_id: UUID) -> bool:
    """Ends what was delivered too often or has expired. Whether a run goes on because of it."""
    found = await repository.find_spent(connection, agent_id)
    if not found:
        return False
    for run_id in found.values():
        if run_id is not None:
            await lock_run(connection, run_id)
    spent = await repository.settle_spent(connection, found)
    told = [await _tell_of(connection, each) for each in spent if each.is_awaited]
    return any(told)


async def _tell_of(connection: AsyncConnection, spent: Spent) -> bool:
    if spent.run_id is None or spent.step_id is None:
        return False
    return await settle_step(connection, spent.run_id, spent.step_id, error=error_of_spent(spent), kinds=KINDS)
