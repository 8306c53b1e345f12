"""The bodies that a route takes when they are not small `application/json`: larger ones, and other media types."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec
from litestar.handlers import BaseRouteHandler

from shared.vocabulary.limits import BATCH_BODY_BYTES, BATCH_JSON_NODES, JSON_NODES, REQUEST_BODY_BYTES

OPTION = "body"
JSON = "application/json"
# Where the path of a route ends so, its body may be larger: the edge, which knows no routes, looks here.
BATCH = "/batch"

# From the JSON as it was read to the struct that the handler takes. Raises Invalid or PayloadTooLarge.
Reader: TypeAlias = Callable[[object], object]


class Form(msgspec.Struct, frozen=True):
    """`readers` by media type; JSON without a reader becomes the handler's struct field by field. A plain dict: the
    framework copies what a route declares."""

    nodes_max: int = JSON_NODES
    readers: dict[str, Reader] = {}

    @property
    def media_types(self) -> list[str]:
        return [*dict.fromkeys([JSON, *self.readers])]


PLAIN = Form()


def takes(readers: Mapping[str, Reader]) -> dict[str, Any]:
    return {OPTION: Form(readers={**readers})}


def takes_batch(readers: Mapping[str, Reader] = MappingProxyType({})) -> dict[str, Any]:
    """Of a route whose path ends with BATCH; beside this it needs `request_max_body_size=BATCH_BODY_BYTES`."""
    return {OPTION: Form(BATCH_JSON_NODES, {**readers})}


def form_of(handler: BaseRouteHandler) -> Form:
    form: Form = handler.opt.get(OPTION, PLAIN)
    return form


def body_bytes_max(path: str) -> int:
    return BATCH_BODY_BYTES if path.endswith(BATCH) else REQUEST_BODY_BYTES


def media_type_of(content_type: str) -> str:
    return content_type.lower().partition(";")[0].strip()
