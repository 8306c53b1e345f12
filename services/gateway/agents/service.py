"""What can be done with agents. Each change is one transaction, with its audit entry."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents import repository
from services.gateway.agents.changes import AgentChanges, changes_of
from services.gateway.agents.names import clean_name
from services.gateway.agents.rules import (
    check_is_another,
    check_limits,
    check_may_change,
    check_stays_whole,
    grantable,
    is_active_admin,
    last_admin,
    stored_limits,
)
from services.gateway.agents.wire import (
    AgentCreate,
    AgentCreated,
    AgentFilter,
    AgentUpdate,
    AgentView,
    LimitsInEffect,
    OwnAgentView,
    StoredAgent,
)
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.service import Authenticator, unauthenticated
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from services.gateway.http.conditions import check_version
from services.gateway.http.paging import Found, PageRequest
from services.gateway.limits.requests import RequestLimits
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import check_url
from shared.streams.broadcast import Broadcast
from shared.tasks.quotas import most_active_tasks
from shared.vocabulary.faults import NotFound
from shared.vocabulary.ids import first_uuid7_at, uuid7
from shared.vocabulary.limits import TOTAL_MAX
from shared.vocabulary.names import name_key
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import AgentStatus

FIRST_TOKEN = "first"  # noqa: S105 (a label)


class AgentService:
    def __init__(
        self,
        authenticator: Authenticator,
        clock: DatabaseClock,
        policy: AddressPolicy,
        rates: RequestLimits,
    ) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._policy = policy
        self._rates = rates

    async def create(self, connection: AsyncConnection, act: Act, wanted: AgentCreate) -> AgentCreated:
        """With its first token."""
        name = clean_name(wanted.name)
        scopes = grantable(act.caller, wanted.scopes)
        check_limits(act.caller, wanted.limits)
        self._check_webhook(wanted.webhook_url)
        agent = await repository.insert_agent(
            connection,
            agent_id=uuid7(self._clock.now()),
            name=name,
            name_key=name_key(name),
            scopes=scopes,
            webhook_url=wanted.webhook_url,
            limits=wanted.limits,
        )
        token = await self._authenticator.issue(connection, agent.id, FIRST_TOKEN)
        details = {"name": name, "scopes": scopes, "limits": stored_limits(wanted.limits)}
        await record(connection, act, Action.AGENT_CREATED, agent.id, details)
        return AgentCreated(**(msgspec.structs.asdict(agent) | msgspec.structs.asdict(token)))

    async def find(self, connection: AsyncConnection, caller: Identity, agent_id: UUID) -> AgentView:
        is_visible = _visible_only(caller) in (None, agent_id)
        agent = await repository.find_agent(connection, agent_id) if is_visible else None
        if agent is None:
            raise no_such_agent()
        return agent

    async def find_own(self, connection: AsyncConnection, caller: Identity) -> OwnAgentView:
        """Raises Unauthenticated for a token that was deleted, with its agent, since it was last looked at."""
        agent = await repository.find_agent(connection, caller.agent_id)
        token = await repository.find_own_token(connection, caller.token_key_id or "")
        if agent is None or token is None:
            raise unauthenticated()
        usage = await repository.measure_usage(connection, caller.agent_id, TOTAL_MAX)
        limits = self._limits_in_effect(caller)
        return OwnAgentView(**msgspec.structs.asdict(agent), limits_in_effect=limits, usage=usage, current_token=token)

    def _limits_in_effect(self, caller: Identity) -> LimitsInEffect:
        requests_per_minute, task_creations_per_hour = self._rates.allowed(caller)
        return LimitsInEffect(
            active_tasks=None if caller.is_admin else most_active_tasks(caller.limits.active_tasks),
            min_interval_seconds=caller.shortest_interval_seconds,
            runs_per_day=caller.limits.runs_per_day,
            requests_per_minute=requests_per_minute,
            task_creations_per_hour=task_creations_per_hour,
        )

    async def list(
        self, connection: AsyncConnection, caller: Identity, filters: AgentFilter, request: PageRequest
    ) -> Found[AgentView]:
        return await repository.list_agents(connection, _visible_only(caller), filters, request)

    async def change(
        self, connection: AsyncConnection, act: Act, agent_id: UUID, wanted: AgentUpdate, if_match: str | None
    ) -> AgentView:
        await repository.lock_admins(connection)
        agent = (await repository.lock_agents(connection, [agent_id])).get(agent_id)
        if agent is None:
            raise no_such_agent()
        check_version(if_match, agent.version, "agent")
        check_may_change(act.caller, agent)
        changes = changes_of(act.caller, agent, wanted)
        if changes.values:
            await self._check(connection, act.caller, agent, wanted, changes)
            await self._apply(connection, act, agent, changes)
        return await self.find(connection, act.caller, agent_id)

    async def _check(
        self,
        connection: AsyncConnection,
        caller: Identity,
        agent: StoredAgent,
        wanted: AgentUpdate,
        changes: AgentChanges,
    ) -> None:
        scopes, status = changes.values.get("scopes", agent.scopes), changes.values.get("status", agent.status)
        check_stays_whole(agent, changes.values, scopes, status)
        if changes.values.get("status") is AgentStatus.DISABLED:
            check_is_another(caller, agent, "disables")
        if is_active_admin(agent.scopes, agent.status) and not is_active_admin(scopes, status):
            await check_other_admin(connection, agent)
        if isinstance(wanted.limits, msgspec.Struct) and "limits" in changes.values:
            if not caller.is_admin:
                check_is_another(caller, agent, "changes the limits of")
            check_limits(caller, wanted.limits)
        self._check_webhook(changes.values.get("webhook_url"))

    async def _apply(self, connection: AsyncConnection, act: Act, agent: StoredAgent, changes: AgentChanges) -> None:
        await repository.update_agent(connection, agent.id, changes.columns)
        if changes.begins_to_count_runs:
            now = self._clock.now()
            midnight = first_uuid7_at(now.replace(hour=0, minute=0, second=0, microsecond=0))
            runs_per_day = changes.values["limits"]["runs_per_day"]
            await repository.count_runs_from_now(connection, agent.id, runs_per_day, midnight)
        await record(connection, act, changes.action, agent.id, changes.for_audit())
        tell_of_change(act, self._authenticator)

    def _check_webhook(self, url: str | None) -> None:
        if url is not None:
            check_url(url, self._policy, "webhook_url")


def tell_of_change(act: Act, authenticator: Authenticator) -> None:
    """This gateway asks anew at once, also without Redis; the others when they hear of it, or within a second."""
    act.after_commit(authenticator.forget)
    act.ring(Broadcast.TOKENS)


async def check_other_admin(connection: AsyncConnection, agent: StoredAgent) -> None:
    """Raises Conflict when this one is the last. Under `lock_admins`."""
    if not await repository.has_other_admin(connection, agent.id):
        raise last_admin()


def no_such_agent() -> NotFound:
    return NotFound("There is no such agent.")


def _visible_only(caller: Identity) -> UUID | None:
    """None for who may see every agent."""
    return None if caller.holds(Scope.AGENTS_ADMIN) else caller.agent_id
