"""`/agents`."""

from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.leaving import AgentLeaving
from services.gateway.agents.service import AgentService
from services.gateway.agents.wire import (
    AgentCreate,
    AgentCreated,
    AgentFilter,
    AgentSort,
    AgentUpdate,
    AgentView,
    OwnAgentView,
)
from services.gateway.http.access import any_agent, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.conditions import IfMatch
from services.gateway.http.documentation import fails, sends
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from services.gateway.http.replies import Reply, etag, reply
from shared.vocabulary.limits import PAGE_DEFAULT, SEARCH_CHARACTERS
from shared.vocabulary.scopes import Scope
from shared.vocabulary.states import AgentStatus

Agents: TypeAlias = NamedDependency[AgentService]
Leaving: TypeAlias = NamedDependency[AgentLeaving]
NameFilter: TypeAlias = Annotated[
    str | None,
    QueryParameter(
        min_length=1, max_length=SEARCH_CHARACTERS, description="Text that the name contains, in any case of letters."
    ),
]
ScopeFilter: TypeAlias = Annotated[Scope | None, QueryParameter(description="Agents that were given this scope.")]
StatusFilter: TypeAlias = Annotated[AgentStatus | None, QueryParameter(description="Agents with this status.")]
Sort: TypeAlias = Annotated[AgentSort, QueryParameter(description="With a minus: descending.")]
Heir: TypeAlias = Annotated[
    UUID | None,
    QueryParameter(description="The agent that takes over tasks, their unfinished runs, and unsettled messages."),
]

READ, ADMIN = requires(Scope.AGENTS_READ), requires(Scope.AGENTS_ADMIN)
OF_AGENTS = ("scope_escalation", "unknown_scope", "already_exists", "invalid_url", "destination_forbidden")
OF_STANDING = ("system_agent", "last_admin", "self_change")
OF_HANDING_OVER = (
    "scope_escalation",
    "in_use",
    "unknown_agent",
    "secrets_in_use",
    "cannot_take_over",
    "quota_exceeded",
    "already_exists",
)


class AgentController(Controller):
    path = "/agents"
    tags = ("agents",)

    @post(opt=ADMIN | fails(*OF_AGENTS) | sends("Location", "ETag"), summary="Create an agent with its first token")
    async def create_agent(
        self, act: CurrentAct, agents: Agents, data: JSONBody[AgentCreate]
    ) -> Response[AgentCreated]:
        """The token is shown in this answer and never again. It lasts 90 days. Nobody grants a scope that it lacks."""

        async def change(connection: AsyncConnection) -> Reply:
            agent = await agents.create(connection, act, data)
            headers = {"Location": f"/v1/agents/{agent.id}", **etag(agent.version)}
            return reply(agent, status=201, headers=headers, kept=msgspec.structs.replace(agent, token=None))

        return await act.write(change)

    @get(opt=READ, summary="List agents")
    async def list_agents(
        self,
        *,
        act: CurrentAct,
        agents: Agents,
        name_filter: NameFilter = None,
        scope_filter: ScopeFilter = None,
        status: StatusFilter = None,
        sort: Sort = "-created_at",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[AgentView]:
        """All of them for who holds `agents:admin`, oneself for everybody else. Without `sort`: newest first."""
        filters = AgentFilter(name_filter, scope_filter, status)
        request = act.page_request(filters, sort=sort, limit=limit, offset=offset, cursor=cursor)
        found = await act.read_list(lambda connection: agents.list(connection, act.caller, filters, request))
        return act.page(request, found)

    @get("/me", opt=any_agent() | sends("ETag"), summary="Show the token's own agent")
    async def get_own_agent(self, act: CurrentAct, agents: Agents) -> Response[OwnAgentView]:
        """With the limits that hold for it, what it has used of them, and the token with which this was asked."""
        agent = await act.read(lambda connection: agents.find_own(connection, act.caller))
        return Response(agent, headers=etag(agent.version))

    @get("/{agent_id:uuid}", opt=READ | sends("ETag"), summary="Show an agent")
    async def get_agent(self, act: CurrentAct, agents: Agents, agent_id: FromPath[UUID]) -> Response[AgentView]:
        """Any of them for who holds `agents:admin`, oneself for everybody else."""
        agent = await act.read(lambda connection: agents.find(connection, act.caller, agent_id))
        return Response(agent, headers=etag(agent.version))

    @put(
        "/{agent_id:uuid}",
        opt=ADMIN | fails(*OF_AGENTS, *OF_STANDING) | sends("ETag"),
        summary="Change the given fields of an agent",
    )
    async def update_agent(
        self,
        act: CurrentAct,
        agents: Agents,
        agent_id: FromPath[UUID],
        data: JSONBody[AgentUpdate],
        if_match: IfMatch = None,
    ) -> Response[AgentView]:
        """Takes effect within a second at every gateway. While an agent is disabled, its tokens are refused and what
        its tasks yield is recorded as skipped; once it is active again, its schedules go on from then. Only who holds
        every scope of an agent may change it."""

        async def change(connection: AsyncConnection) -> Reply:
            agent = await agents.change(connection, act, agent_id, data, if_match)
            return reply(agent, headers=etag(agent.version))

        return await act.write(change)

    @delete("/{agent_id:uuid}", opt=ADMIN | fails(*OF_STANDING, *OF_HANDING_OVER), summary="Delete an agent")
    async def delete_agent(
        self,
        *,
        act: CurrentAct,
        leaving: Leaving,
        agent_id: FromPath[UUID],
        hand_over_to: Heir = None,
        if_match: IfMatch = None,
    ) -> Response[None]:
        """Its tokens and secrets are gone, its name is free, and its history stays readable under its id. An agent
        that still has tasks, unfinished runs or unsettled messages is refused as `in_use`: hand them over, or disable
        the agent instead. What is handed over keeps its ids, its times and its schedule. A task that uses a secret
        cannot be handed over: secrets are bound to their agent."""

        async def change(connection: AsyncConnection) -> Reply:
            await leaving.delete(connection, act, agent_id, hand_over_to, if_match)
            return Reply(204, b"", {})

        return await act.write(change)
