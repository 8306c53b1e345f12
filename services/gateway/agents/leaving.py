"""How an agent is deleted: with nothing left that would be dropped silently."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents import belongings, repository
from services.gateway.agents.belongings import Belongings, Estate
from services.gateway.agents.rules import (
    check_is_another,
    check_may_change,
    is_active_admin,
    is_system,
    system_agent,
)
from services.gateway.agents.service import check_other_admin, no_such_agent, tell_of_change
from services.gateway.agents.wire import StoredAgent
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.service import Authenticator
from services.gateway.http.act import Act
from services.gateway.http.conditions import check_version
from services.gateway.http.instants import wrong_query
from shared.streams.doorbell import Bell
from shared.tasks.quotas import most_active_tasks
from shared.vocabulary.faults import BadRequest, Conflict, Forbidden
from shared.vocabulary.scopes import Scope, is_granted
from shared.vocabulary.states import AgentStatus

TOLD = 5


class AgentLeaving:
    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def delete(
        self, connection: AsyncConnection, act: Act, agent_id: UUID, heir_id: UUID | None, if_match: str | None
    ) -> None:
        """Its history stays. `heir_id`: the agent that what it has goes to."""
        await repository.lock_admins(connection)
        wanted = [agent_id] if heir_id is None else [agent_id, heir_id]
        agents = await repository.lock_agents(connection, wanted)
        agent = agents.get(agent_id)
        if agent is None:
            raise no_such_agent()
        check_version(if_match, agent.version, "agent")
        await _check_may_go(connection, act, agent)
        if heir_id is not None:
            await self._hand_over(connection, act, agent, agents.get(heir_id))
        left = await belongings.measure_belongings(connection, agent_id)
        if not left.are_none:
            raise _in_use(left)
        deleted = await belongings.delete_agent(connection, agent_id)
        details = {"name": agent.name, "scopes": agent.scopes, **msgspec.structs.asdict(deleted)}
        await record(connection, act, Action.AGENT_DELETED, agent_id, details)
        tell_of_change(act, self._authenticator)

    async def _hand_over(
        self, connection: AsyncConnection, act: Act, agent: StoredAgent, heir: StoredAgent | None
    ) -> None:
        if heir is None or heir.id == agent.id or heir.status is not AgentStatus.ACTIVE:
            raise _no_heir()
        # Its tasks would run with what this one may do.
        check_may_change(act.caller, heir)
        estate = await belongings.lock_estate(connection, agent.id)
        await _check_can_take(connection, heir, estate)
        given = await belongings.hand_over(connection, act, agent.id, heir.id, estate)
        details = {"to": {"id": heir.id, "name": heir.name}, **msgspec.structs.asdict(given)}
        await record(connection, act, Action.AGENT_HANDED_OVER, agent.id, details)
        act.ring(Bell.TASK_CHANGES)


async def _check_may_go(connection: AsyncConnection, act: Act, agent: StoredAgent) -> None:
    check_may_change(act.caller, agent)
    if is_system(agent):
        raise system_agent("is not deleted")
    check_is_another(act.caller, agent, "deletes")
    if is_active_admin(agent.scopes, agent.status):
        await check_other_admin(connection, agent)


async def _check_can_take(connection: AsyncConnection, heir: StoredAgent, estate: Estate) -> None:
    if estate.secretive:
        named = ", ".join(map(str, estate.secretive[:TOLD])) + (", …" if len(estate.secretive) > TOLD else "")
        message = (
            f"A secret belongs to its agent, and {len(estate.secretive)} of the tasks use one: {named}. Cancel them or "
            "change them first."
        )
        raise Conflict(message, error_code="secrets_in_use")
    if estate.waits_for_events and not is_granted(Scope.EVENTS_READ, heir.scopes):
        message = f"Some of the tasks wait for events, and {heir.name} does not hold {Scope.EVENTS_READ}."
        raise Conflict(message, error_code="cannot_take_over")
    shared_keys = await belongings.find_shared_keys(connection, estate, heir.id)
    if shared_keys:
        message = f"{heir.name} has active or paused tasks with the same dedupe_key: {', '.join(shared_keys)}."
        raise Conflict(message, error_code="already_exists")
    if Scope.ADMIN in heir.scopes:
        return
    most = most_active_tasks(heir.limits.get("active_tasks"))
    has = await belongings.count_active_tasks(connection, heir.id, most)
    if estate.active and has + estate.active > most:
        message = f"{heir.name} may have {most} active tasks; {estate.active} are to be added to its {has}."
        raise Forbidden(message, error_code="quota_exceeded")


def _in_use(left: Belongings) -> Conflict:
    message = (
        f"The agent has {_counted(left.tasks, 'active or paused task')}, {_counted(left.runs, 'unfinished run')} and "
        f"{_counted(left.messages, 'unsettled message')} in its inbox. Name an agent that takes them over "
        "(?hand_over_to={id}), or disable this one instead: PUT with a status of disabled."
    )
    return Conflict(message, error_code="in_use")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _no_heir() -> BadRequest:
    return wrong_query("hand_over_to", "Name another agent, one that is active.", "unknown_agent")
