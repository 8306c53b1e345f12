"""What a step does in the name of its task's owner: in one transaction, under the lease, with the scopes of now."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from services.executor.tools.base import StepContext, ToolFault
from services.executor.tools.checked import lease_lost
from shared.database.pool import Connection
from shared.database.retry import retry_transient
from shared.database.statements import load_statements
from shared.telemetry.tracing import trace_id_in
from shared.vocabulary.faults import Fault
from shared.vocabulary.scopes import Scope, is_granted
from shared.vocabulary.states import ErrorClass

SQL = load_statements("services.executor", "sql/owner.sql")

T = TypeVar("T")


class Owner(msgspec.Struct, frozen=True):
    """The columns of `hold_lease`."""

    agent_id: UUID
    name: str
    is_active: bool
    scopes: list[str]
    min_interval_seconds: int | None

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes


class Mandate(msgspec.Struct, frozen=True):
    """The owner's, for as long as the transaction lasts."""

    connection: Connection
    owner: Owner
    context: StepContext

    @property
    def caused_by(self) -> dict[str, str]:
        context = self.context
        return {"run_id": str(context.run_id), "task_id": str(context.task_id), "step_id": context.step_id}

    async def record(self, action: str, subject_id: UUID, details: Mapping[str, Any]) -> None:
        """The audit entry, which says from which run the change comes."""
        await self.connection.execute(
            SQL["record_act"].sql,
            *(self.owner.agent_id, self.owner.name, action, action.partition(".")[0], str(subject_id)),
            {**details, "caused_by": self.caused_by},
            trace_id_in(self.context.traceparent),
        )


async def act_for_owner(
    pool: asyncpg.Pool,
    context: StepContext,
    scope: Scope,
    act: Callable[[Mandate], Awaitable[T]],
    *,
    field: str = "with",
) -> T:
    """Run `act` once it is certain that the step may do so; again from its start after an error that passes. Raises
    ToolFault, also for what `act` refuses in a value below `field`."""

    async def once() -> T:
        async with pool.acquire() as connection, connection.transaction():
            owner = await _hold(connection, context)
            _require(owner, scope)
            return await act(Mandate(connection, owner, context))

    try:
        return await retry_transient(once, name=f"step_of_owner {scope}")
    except Fault as refusal:
        raise _refused(refusal, field) from None


def _refused(refusal: Fault, field: str) -> ToolFault:
    """With the path of the first value that is wrong."""
    wrong = next(iter(refusal.validation_errors), None)
    place = f"{field}.{wrong.field}: " if wrong is not None and wrong.field else ""
    return ToolFault(ErrorClass.TOOL, f"{place}{refusal.detail} ({refusal.error_code})")


async def _hold(connection: Connection, context: StepContext) -> Owner:
    row = await connection.fetchrow(SQL["hold_lease"].sql, context.run_id, context.fence)
    if row is None:
        raise lease_lost()
    return Owner(**dict(row))


def _require(owner: Owner, scope: Scope) -> None:
    if not owner.is_active:
        raise ToolFault(ErrorClass.TOOL, f"The agent {owner.name} is disabled.")
    if not is_granted(scope, owner.scopes):
        message = f"The agent {owner.name} does not hold the scope {scope.value} (any more), which this step needs."
        raise ToolFault(ErrorClass.TOOL, message)
