"""The tool `agent.deliver`: stores a message in an agent's inbox, then rings for the agent."""

from collections.abc import Mapping
from uuid import UUID

import asyncpg
import msgspec
from redis.asyncio import Redis

from services.executor.tools.base import StepContext, ToolFault, Waiting
from services.executor.tools.checked import checked, lease_lost
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.streams.inbox_bell import ring_inbox
from shared.tools.agent_deliver import AGENT_DELIVER, AgentDeliverInput
from shared.vocabulary.ids import id_of_step
from shared.vocabulary.limits import INBOX_MESSAGES_PER_AGENT
from shared.vocabulary.names import name_key
from shared.vocabulary.states import ErrorClass, SettledAs, WaitKind

SQL = load_statements("services.executor", "sql/inbox.sql")


class Delivered(msgspec.Struct, frozen=True):
    """The columns of `deliver_message`, in its order. `agent` is None when there is nobody to deliver to;
    `is_full`: its inbox takes no more. `remaining_seconds` is how long the message can still be acknowledged."""

    is_leased: bool
    agent_id: UUID | None
    agent: str | None
    is_full: bool
    is_made: bool
    remaining_seconds: float
    settled_as: SettledAs | None
    deliveries: int


class AgentDeliver:
    """Called again for the same step, it delivers nothing twice and answers from what became of the message."""

    spec = AGENT_DELIVER

    def __init__(self, pool: asyncpg.Pool, redis: Redis) -> None:
        self._pool = pool
        self._redis = redis

    async def call(self, arguments: Mapping[str, object], context: StepContext) -> object:
        wanted = checked(arguments, AGENT_DELIVER, AgentDeliverInput)
        message_id = id_of_step(context.run_id, context.step_id)
        found = await self._deliver(message_id, wanted, context)
        if not found.is_leased:
            raise lease_lost()
        if found.agent_id is None:
            raise ToolFault(ErrorClass.TOOL, "There is no such agent, or the task's owner may not deliver to it.")
        if found.is_full:
            raise _inbox_full(found.agent)
        if found.is_made:
            await ring_inbox(self._redis, [found.agent_id])
        output = {"message_id": str(message_id), "agent": found.agent}
        return await self._wait(message_id, found, output) if wanted.await_ack else output

    async def close(self) -> None:
        """The pool and the client belong to the executor."""

    async def _deliver(self, message_id: UUID, wanted: AgentDeliverInput, context: StepContext) -> Delivered:
        arguments = (
            *(message_id, context.run_id, context.fence, context.step_id, context.agent_id),
            *_recipient(wanted.agent, context.agent_id),
            # Wrapped, because the driver writes a bare null as SQL's.
            {"body": wanted.body},
            *(wanted.await_ack, wanted.max_deliveries, float(wanted.lives_seconds), context.traceparent),
            INBOX_MESSAGES_PER_AGENT,
        )
        rows = await retry_transient(
            lambda: self._pool.fetch(SQL["deliver_message"].sql, *arguments), name="deliver_message"
        )
        return msgspec.convert(dict(rows[0]), Delivered)

    async def _wait(self, message_id: UUID, found: Delivered, output: object) -> Waiting:
        """An acknowledgement in time has settled the step itself: whoever asks here has none."""
        if found.settled_as is SettledAs.DEAD:
            message = f"{found.agent} gave the message up after {found.deliveries} deliveries."
            raise ToolFault(ErrorClass.TOOL, message)
        if found.settled_as is None and found.remaining_seconds > 0:
            return Waiting(WaitKind.INBOX, found.remaining_seconds, output)
        await retry_transient(
            lambda: self._pool.execute(SQL["withdraw_expired_message"].sql, message_id), name="withdraw_expired_message"
        )
        raise ToolFault(ErrorClass.TIMEOUT, f"{found.agent} did not acknowledge the message in time.")


def _inbox_full(agent: str | None) -> ToolFault:
    """It can be emptied by the time of another try."""
    bound = f"holds {INBOX_MESSAGES_PER_AGENT} messages that are not acknowledged, which is the most"
    return ToolFault(ErrorClass.TOOL, f"The inbox of {agent} {bound} (quota_exceeded).", retryable=True)


def _recipient(agent: str | None, owner_id: UUID) -> tuple[str | None, UUID | None]:
    """A name, as it is compared, and an id: text that could be both is looked for as both."""
    if agent is None:
        return None, owner_id
    try:
        return name_key(agent.strip()), UUID(agent)
    except ValueError:
        return name_key(agent.strip()), None
