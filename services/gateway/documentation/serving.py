"""Where the document and the page that shows it are answered: below `/schema`, without any network."""

from typing import Any

import msgspec
from litestar import Response, Router, get
from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import FromPath

from services.gateway.documentation.assets import HTML, PAGE, asset
from services.gateway.documentation.document import complete, operation_id
from services.gateway.http.access import public
from services.gateway.http.faults import no_such_route
from shared.runtime.heartbeat import VERSION

JSON = "application/json"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEPT = "public, max-age=86400"


class PagePlugin(OpenAPIRenderPlugin):
    """The page, and its files beside it."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=HTML)  # type: ignore[arg-type]

    def render(self, _request: Request[Any, Any, Any], _openapi_schema: dict[str, Any]) -> bytes:
        return (PAGE / "index.html").read_bytes()

    def receive_router(self, router: Router) -> None:
        router.register(show_asset)


class DocumentPlugin(OpenAPIRenderPlugin):
    """The document, completed when it is first asked for."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json", media_type=JSON)  # type: ignore[arg-type]
        self._document: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        if self._document is None:
            self._document = msgspec.json.encode(complete(request.app, openapi_schema))
        return self._document


@get("/assets/{name:str}", sync_to_thread=False, include_in_schema=False)
def show_asset(name: FromPath[str]) -> Response[bytes]:
    found = asset(name)
    if found is None:
        raise no_such_route()
    return Response(found.content, media_type=found.media_type, headers={"ETag": found.etag, "Cache-Control": KEPT})


def openapi_config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Personal Agent Orchestrator",
        version=VERSION,
        components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
        security=[{"token": []}],
        operation_id_creator=operation_id,
        render_plugins=[PagePlugin(), DocumentPlugin()],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            opt=public(),
            guards=[_refuse_unknown_document],
            after_request=_protect_page,
            include_in_schema=False,
        ),
    )


def _protect_page(response: Response[Any]) -> Response[Any]:
    """What is no page keeps the stricter policy of every answer."""
    if response.media_type == HTML:
        response.headers["Content-Security-Policy"] = POLICY
    return response


def _refuse_unknown_document(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """The framework would answer with a page of its own; errors have one shape here."""
    if "path" in connection.path_params:
        raise no_such_route()
