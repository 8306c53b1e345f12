"""What can be done with agents."""

from collections.abc import Sequence
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents import repository
from services.gateway.agents.names import clean_name
from services.gateway.agents.wire import AgentCreate, AgentCreated, AgentLimits, AgentView
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.service import Authenticator
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from shared.outbound.addresses import AddressPolicy
from shared.outbound.urls import check_url
from shared.vocabulary.decoding import close_match
from shared.vocabulary.faults import Forbidden, NotFound, invalid_field
from shared.vocabulary.ids import uuid7
from shared.vocabulary.limits import MIN_INTERVAL_SECONDS_DEFAULT
from shared.vocabulary.names import name_key
from shared.vocabulary.scopes import DEFAULT_SCOPES, Scope

KNOWN_SCOPES = tuple(scope.value for scope in Scope)
FIRST_TOKEN = "first"  # noqa: S105 (a label)


class AgentService:
    def __init__(self, authenticator: Authenticator, clock: DatabaseClock, policy: AddressPolicy) -> None:
        self._authenticator = authenticator
        self._clock = clock
        self._policy = policy

    async def create(self, connection: AsyncConnection, act: Act, wanted: AgentCreate) -> AgentCreated:
        """With its first token."""
        name = clean_name(wanted.name)
        scopes = grantable(act.caller, wanted.scopes)
        _check_limits(act.caller, wanted.limits)
        if wanted.webhook_url is not None:
            check_url(wanted.webhook_url, self._policy, "webhook_url")
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
        await record(connection, act, Action.AGENT_CREATED, agent.id, {"name": name, "scopes": scopes})
        return AgentCreated(**(msgspec.structs.asdict(agent) | msgspec.structs.asdict(token)))

    async def find(self, connection: AsyncConnection, caller: Identity, agent_id: UUID) -> AgentView:
        is_visible = _visible_only(caller) in (None, agent_id)
        agent = await repository.find_agent(connection, agent_id) if is_visible else None
        if agent is None:
            raise NotFound("There is no such agent.")
        return agent

    async def list(
        self, connection: AsyncConnection, caller: Identity, limit: int, offset: int
    ) -> tuple[list[AgentView], int]:
        return await repository.list_agents(connection, _visible_only(caller), limit, offset)


def grantable(caller: Identity, wanted: Sequence[str] | None) -> list[str]:
    """Sorted and each once. Raises Invalid for an unknown scope, Forbidden for one that the caller does not hold."""
    if wanted is None:
        return sorted(scope.value for scope in DEFAULT_SCOPES if caller.holds(scope))
    for index, scope in enumerate(wanted):
        if scope not in KNOWN_SCOPES:
            message = f"There is no such scope; known ones are {', '.join(KNOWN_SCOPES)}."
            suggestion = close_match(scope, KNOWN_SCOPES)
            raise invalid_field(f"scopes[{index}]", message, "unknown_scope", suggestion=suggestion)
    lacking = sorted(scope for scope in set(wanted) if not caller.holds(Scope(scope)))
    if lacking:
        message = f"Nobody grants what it does not hold: {', '.join(lacking)}."
        raise Forbidden(message, error_code="scope_escalation")
    return sorted(set(wanted))


def _check_limits(caller: Identity, limits: AgentLimits) -> None:
    shortest = limits.min_interval_seconds
    if isinstance(shortest, int) and shortest < MIN_INTERVAL_SECONDS_DEFAULT and not caller.is_admin:
        message = f"Only an admin may allow less than {MIN_INTERVAL_SECONDS_DEFAULT} seconds."
        raise invalid_field("limits.min_interval_seconds", message, "out_of_range")


def _visible_only(caller: Identity) -> UUID | None:
    """None for who may see every agent."""
    return None if caller.holds(Scope.AGENTS_ADMIN) else caller.agent_id
