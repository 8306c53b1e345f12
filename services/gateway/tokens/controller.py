"""`/agents/{id}/tokens`."""

from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Controller, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import any_agent, requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.documentation import fails
from services.gateway.http.paging import Cursor, Limit, Offset, Page
from services.gateway.http.replies import Reply, reply
from services.gateway.tokens.service import TokenService
from services.gateway.tokens.wire import TokenCreate, TokenCreated, TokenRotate, TokenRotated, TokenSort, TokenView
from shared.vocabulary.limits import PAGE_DEFAULT
from shared.vocabulary.scopes import Scope

Tokens: TypeAlias = NamedDependency[TokenService]
Sort: TypeAlias = Annotated[TokenSort, QueryParameter(description="With a minus: newest first.")]


class TokenController(Controller):
    path = "/agents/{agent_id:uuid}/tokens"
    tags = ("agents",)

    @post(
        opt=requires(Scope.AGENTS_ADMIN) | fails("scope_escalation", "conflicting_fields", "quota_exceeded"),
        summary="Make another token for an agent",
    )
    async def create_agent_token(
        self, act: CurrentAct, tokens: Tokens, agent_id: FromPath[UUID], data: JSONBody[TokenCreate | None] = None
    ) -> Response[TokenCreated]:
        """The token is shown in this answer and never again; what is stored of it cannot be turned back into it."""
        wanted = data or TokenCreate()

        async def change(connection: AsyncConnection) -> Reply:
            made = await tokens.create(connection, act, agent_id, wanted)
            return reply(made, status=201, kept=msgspec.structs.replace(made, token=None))

        return await act.write(change)

    @get(opt=any_agent(), summary="List the tokens of an agent")
    async def list_agent_tokens(
        self,
        *,
        act: CurrentAct,
        tokens: Tokens,
        agent_id: FromPath[UUID],
        sort: Sort = "-created_at",
        limit: Limit = PAGE_DEFAULT,
        offset: Offset = 0,
        cursor: Cursor = None,
    ) -> Page[TokenView]:
        """One's own, or those of any agent for who holds `agents:admin`. Those that have ended are among them."""
        request = act.page_request(None, sort=sort, limit=limit, offset=offset, cursor=cursor)
        found = await act.read_list(lambda connection: tokens.list(connection, act.caller, agent_id, request))
        return act.page(request, found)

    @post(
        "/{key_id:str}/rotate",
        opt=any_agent() | fails("scope_escalation", "token_not_active", "quota_exceeded"),
        summary="Replace a token by a new one",
    )
    async def rotate_agent_token(
        self,
        act: CurrentAct,
        tokens: Tokens,
        agent_id: FromPath[UUID],
        key_id: FromPath[str],
        data: JSONBody[TokenRotate | None] = None,
    ) -> Response[TokenRotated]:
        """An agent may rotate its own tokens, also the one with which it asks. The old one works for an hour more,
        unless `overlap_seconds` says otherwise; the new one is shown in this answer and never again."""
        wanted = data or TokenRotate()

        async def change(connection: AsyncConnection) -> Reply:
            made = await tokens.rotate(connection, act, agent_id, key_id, wanted)
            return reply(made, status=201, kept=msgspec.structs.replace(made, token=None))

        return await act.write(change)

    @delete("/{key_id:str}", opt=any_agent() | fails("scope_escalation"), summary="Revoke a token")
    async def revoke_agent_token(
        self, act: CurrentAct, tokens: Tokens, agent_id: FromPath[UUID], key_id: FromPath[str]
    ) -> Response[None]:
        """It is refused within a second by every gateway. An agent may revoke its own tokens. Twice is as once."""

        async def change(connection: AsyncConnection) -> Reply:
            await tokens.revoke(connection, act, agent_id, key_id)
            return Reply(204, b"", {})

        return await act.write(change)
