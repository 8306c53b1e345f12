"""Every operation that the document describes, found by walking the routes."""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from services.gateway.http.forms import form_of


class Described(msgspec.Struct, frozen=True):
    """`path` as the document writes it; `method` in capitals."""

    path: str
    method: str
    handler: HTTPRouteHandler

    @property
    def name(self) -> str:
        return self.handler.handler_name

    @property
    def reads(self) -> list[str]:
        """The media types of the body."""
        return form_of(self.handler).media_types

    @property
    def takes(self) -> Any:  # noqa: ANN401 (a type)
        """The type of the body, None where there is none."""
        field = self.handler.parsed_data_field
        if field is None:
            return None
        inner = [each for each in get_args(field.annotation) if each is not type(None)]
        return inner[0] if field.is_optional else field.annotation

    @property
    def gives(self) -> Any:  # noqa: ANN401 (a type)
        """The type of the answer; None for one that is empty, or that is no struct but a stream."""
        annotation = self.handler.parsed_fn_signature.return_type.annotation
        if get_origin(annotation) is Response:
            (annotation,) = get_args(annotation)
        struct = get_origin(annotation) or annotation
        return annotation if isinstance(struct, type) and issubclass(struct, msgspec.Struct) else None


def described_operations(app: Litestar) -> Iterator[Described]:
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            if handler.resolve_include_in_schema() and method != "OPTIONS":
                yield Described(route.path_format, method, handler)
