"""Who may use a route: declared beside each, and nobody where nothing is declared."""

from typing import Any

import msgspec
from litestar.handlers import BaseRouteHandler

from shared.vocabulary.scopes import Scope

OPTION = "access"
MEDIA_TYPES = "media_types"


class Access(msgspec.Struct, frozen=True):
    """`scope` None: any agent with a valid token. `takes_run_token`: also whoever speaks for one step of a run."""

    scope: Scope | None = None
    is_public: bool = False
    takes_run_token: bool = False


def requires(scope: Scope) -> dict[str, Any]:
    return {OPTION: Access(scope)}


def run_token_or(scope: Scope) -> dict[str, Any]:
    return {OPTION: Access(scope, takes_run_token=True)}


def any_agent() -> dict[str, Any]:
    return {OPTION: Access()}


def produces(*media_types: str) -> dict[str, Any]:
    """Of a route whose answers are not JSON; its errors still are."""
    return {MEDIA_TYPES: frozenset(media_types)}


def media_types_of(handler: BaseRouteHandler) -> frozenset[str]:
    media_types: frozenset[str] = handler.opt.get(MEDIA_TYPES, frozenset())
    return media_types


def public() -> dict[str, Any]:
    return {OPTION: Access(is_public=True)}


def access_of(handler: BaseRouteHandler) -> Access | None:
    access: Access | None = handler.opt.get(OPTION)
    return access
