"""`/secrets`."""

from typing import Any, TypeAlias

from litestar import Controller, Response, delete, get, put
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.http.access import requires
from services.gateway.http.act import CurrentAct
from services.gateway.http.admission import StrictRequest
from services.gateway.http.documentation import answers, fails
from services.gateway.http.paging import Limit, Offset, Page, page_of
from services.gateway.http.replies import Reply, reply
from services.gateway.secrets.service import SecretService, value_too_large
from services.gateway.secrets.wire import SecretPut, SecretView
from shared.vocabulary.limits import PAGE_DEFAULT, TEXT_CHARACTERS
from shared.vocabulary.scopes import Scope

Secrets: TypeAlias = NamedDependency[SecretService]


async def check_size(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard behind `admit`: what is longer than any text may be is, here, a payload that is too large."""
    body = connection.body_read if isinstance(connection, StrictRequest) else None
    value = body.tree.get("value") if body is not None and isinstance(body.tree, dict) else None
    if isinstance(value, str) and len(value) > TEXT_CHARACTERS:
        raise value_too_large()


class SecretController(Controller):
    path = "/secrets"
    tags = ("secrets",)

    @put(
        "/{name:str}",
        opt=requires(Scope.TASKS_WRITE)
        | fails("invalid_name", "quota_exceeded", "secrets_not_configured")
        | answers(201),
        guards=[check_size],
        summary="Set or replace a secret; its value is never shown",
    )
    async def put_secret(
        self, act: CurrentAct, secrets: Secrets, name: FromPath[str], data: JSONBody[SecretPut]
    ) -> Response[SecretView]:
        """Steps use it as `${secrets.<name>}`. What runs already goes on with the old value."""

        async def change(connection: AsyncConnection) -> Reply:
            view = await secrets.put(connection, act, name, data.value)
            return reply(view, status=201 if view.version == 1 else 200)

        return await act.write(change)

    @get(opt=requires(Scope.TASKS_READ), summary="List the names of secrets")
    async def list_secrets(
        self, act: CurrentAct, secrets: Secrets, limit: Limit = PAGE_DEFAULT, offset: Offset = 0
    ) -> Page[SecretView]:
        """Those of the caller, an admin too."""
        agent_id = act.caller.agent_id
        items, total = await act.read(lambda connection: secrets.list(connection, agent_id, limit, offset))
        return page_of(items, total, limit, offset)

    @get("/{name:str}", opt=requires(Scope.TASKS_READ), summary="Show when a secret was set, not what it is")
    async def get_secret(self, act: CurrentAct, secrets: Secrets, name: FromPath[str]) -> SecretView:
        """Its version rises by one with each replacement."""
        return await act.read(lambda connection: secrets.find(connection, act.caller.agent_id, name))

    @delete(
        "/{name:str}", opt=requires(Scope.TASKS_WRITE) | fails("in_use"), summary="Delete a secret that no task uses"
    )
    async def delete_secret(self, act: CurrentAct, secrets: Secrets, name: FromPath[str]) -> Response[None]:
        """Refused while a task that may still run mentions it."""

        async def change(connection: AsyncConnection) -> Reply:
            await secrets.delete(connection, act, name)
            return Reply(204, b"", {})

        return await act.write(change)
