"""Who may use a route: declared beside each, and nobody where nothing is declared."""

from typing import Any

import msgspec
from litestar.handlers import BaseRouteHandler

from shared.vocabulary.scopes import Scope

OPTION = "access"


class Access(msgspec.Struct, frozen=True):
    """`scope` None: any agent with a valid token."""

    scope: Scope | None = None
    is_public: bool = False


def requires(scope: Scope) -> dict[str, Any]:
    return {OPTION: Access(scope)}


def any_agent() -> dict[str, Any]:
    return {OPTION: Access()}


def public() -> dict[str, Any]:
    return {OPTION: Access(is_public=True)}


def access_of(handler: BaseRouteHandler) -> Access | None:
    access: Access | None = handler.opt.get(OPTION)
    return access
