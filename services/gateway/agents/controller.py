"""`/agents`."""

from typing import TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.service import AgentService
from services.gateway.agents.wire import AgentCreate, AgentCreated, AgentView
from services.gateway.http.access import any_agent, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.http.replies import Reply, etag, reply
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope

Agents: TypeAlias = NamedDependency[AgentService]


class AgentController(Controller):
    path = "/agents"
    tags = ("agents",)

    @post(opt=requires(Scope.AGENTS_ADMIN), summary="Create an agent with its first token")
    async def create_agent(
        self, act: CurrentAct, agents: Agents, data: JSONBody[AgentCreate]
    ) -> Response[AgentCreated]:
        async def change(connection: AsyncConnection) -> Reply:
            agent = await agents.create(connection, act, data)
            headers = {"Location": f"/v1/agents/{agent.id}", **etag(agent.version)}
            return reply(agent, status=201, headers=headers, kept=msgspec.structs.replace(agent, token=None))

        return await act.write(change)

    @get(opt=requires(Scope.AGENTS_READ), summary="List agents, newest first")
    async def list_agents(
        self, act: CurrentAct, agents: Agents, limit: Limit = PAGE_DEFAULT, offset: Offset = 0
    ) -> Page[AgentView]:
        items, total = await act.read(lambda connection: agents.list(connection, act.caller, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/me", opt=any_agent(), summary="Show the token's own agent")
    async def get_own_agent(self, act: CurrentAct, agents: Agents) -> Response[AgentView]:
        agent = await act.read(lambda connection: agents.find(connection, act.caller, act.caller.agent_id))
        return Response(agent, headers=etag(agent.version))

    @get("/{agent_id:uuid}", opt=requires(Scope.AGENTS_READ), summary="Show an agent")
    async def get_agent(self, act: CurrentAct, agents: Agents, agent_id: FromPath[UUID]) -> Response[AgentView]:
        agent = await act.read(lambda connection: agents.find(connection, act.caller, agent_id))
        return Response(agent, headers=etag(agent.version))
