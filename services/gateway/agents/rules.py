"""PURE: who may change which agent, and what always stays."""

from collections.abc import Iterable, Sequence

import msgspec

from services.gateway.agents.wire import AgentLimits, StoredAgent
from services.gateway.auth.wire import Identity
from shared.vocabulary.decoding import close_match
from shared.vocabulary.faults import Conflict, Forbidden, invalid_field
from shared.vocabulary.limits import MIN_INTERVAL_SECONDS_DEFAULT
from shared.vocabulary.names import name_key
from shared.vocabulary.scopes import DEFAULT_SCOPES, Scope, is_granted
from shared.vocabulary.states import AgentStatus

KNOWN_SCOPES = tuple(scope.value for scope in Scope)
# The name of the agent that bootstrap makes.
SYSTEM = "system"


def grantable(caller: Identity, wanted: Sequence[str] | None) -> list[str]:
    """Sorted and each once. Raises Invalid for an unknown scope, Forbidden for one that the caller does not hold."""
    if wanted is None:
        return sorted(scope.value for scope in DEFAULT_SCOPES if caller.holds(scope))
    for index, scope in enumerate(wanted):
        if scope not in KNOWN_SCOPES:
            message = f"There is no such scope; known ones are {', '.join(KNOWN_SCOPES)}."
            suggestion = close_match(scope, KNOWN_SCOPES)
            raise invalid_field(f"scopes[{index}]", message, "unknown_scope", suggestion=suggestion)
    lacking = _lacking(caller, wanted)
    if lacking:
        raise _escalation(f"Nobody grants what it does not hold: {', '.join(lacking)}.")
    return sorted(set(wanted))


def check_may_change(caller: Identity, agent: StoredAgent) -> None:
    """Whoever changes an agent, or makes a token for it, could act as that agent."""
    lacking = _lacking(caller, agent.scopes)
    if lacking:
        raise _escalation(f"This agent holds what you do not: {', '.join(lacking)}. Only who holds it may change it.")


def check_limits(caller: Identity, limits: AgentLimits) -> None:
    shortest = limits.min_interval_seconds
    if isinstance(shortest, int) and shortest < MIN_INTERVAL_SECONDS_DEFAULT and not caller.is_admin:
        message = f"Only an admin may allow less than {MIN_INTERVAL_SECONDS_DEFAULT} seconds."
        raise invalid_field("limits.min_interval_seconds", message, "out_of_range")


def check_stays_whole(agent: StoredAgent, values: Iterable[str], scopes: Sequence[str], status: AgentStatus) -> None:
    """`values`: the names of the columns that change. Raises Conflict for what the system agent cannot lose."""
    if is_system(agent) and ("name" in values or Scope.ADMIN not in scopes or status is not AgentStatus.ACTIVE):
        raise system_agent("keeps its name and the scope admin, and is not disabled")


def check_is_another(caller: Identity, agent: StoredAgent, act: str) -> None:
    if caller.agent_id == agent.id:
        message = f"No agent {act} itself. Ask another one that holds {Scope.AGENTS_ADMIN}."
        raise Conflict(message, error_code="self_change")


def system_agent(what: str) -> Conflict:
    return Conflict(f"The agent {SYSTEM} {what}.", error_code="system_agent")


def last_admin() -> Conflict:
    message = f"No other active agent holds {Scope.ADMIN}. Give it to another one first."
    return Conflict(message, error_code="last_admin")


def is_system(agent: StoredAgent) -> bool:
    return agent.name_key == name_key(SYSTEM)


def is_active_admin(scopes: Sequence[str], status: AgentStatus) -> bool:
    return Scope.ADMIN in scopes and status is AgentStatus.ACTIVE


def stored_limits(limits: AgentLimits) -> dict[str, int]:
    built: dict[str, int] = msgspec.to_builtins(limits)
    return built


def _lacking(caller: Identity, scopes: Iterable[str]) -> list[str]:
    """A scope that nobody knows any more is held by an admin only."""
    return sorted(scope for scope in set(scopes) if not _holds(caller, scope))


def _holds(caller: Identity, scope: str) -> bool:
    return is_granted(Scope(scope), caller.scopes) if scope in KNOWN_SCOPES else caller.is_admin


def _escalation(message: str) -> Forbidden:
    return Forbidden(message, error_code="scope_escalation")
