"""Which part of a tool's JSON Schema a value does not fit."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = Mapping[str, Any]
Place: TypeAlias = tuple[str, Schema]

PART = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


def schema_path(root: Schema, path: str) -> str:
    """The JSON pointer (RFC 6901) of the schema for `path` (`.headers.X-A`, `.expect.status[0]`): of the nearest
    one above it when it has none of its own."""
    place: Place = ("#", root)
    for name, index in PART.findall(path):
        found = next((each for each in _below(place, name, index, root)), None)
        if found is None:
            break
        place = found
    return _resolved(place, root)[0]


def _below(place: Place, name: str, index: str, root: Schema) -> Iterator[Place]:
    for pointer, schema in _alternatives(place, root):
        if name and name in schema.get("properties", {}):
            yield f"{pointer}/properties/{_escaped(name)}", schema["properties"][name]
        elif name and isinstance(schema.get("additionalProperties"), Mapping):
            yield f"{pointer}/additionalProperties", schema["additionalProperties"]
        elif index and isinstance(schema.get("items"), Mapping):
            yield f"{pointer}/items", schema["items"]


def _alternatives(place: Place, root: Schema) -> Iterator[Place]:
    pointer, schema = _resolved(place, root)
    yield pointer, schema
    for number, each in enumerate(schema.get("anyOf", ())):
        yield from _alternatives((f"{pointer}/anyOf/{number}", each), root)


def _resolved(place: Place, root: Schema) -> Place:
    pointer, schema = place
    while isinstance(reference := schema.get("$ref"), str):
        pointer, schema = reference, root
        for part in reference.removeprefix("#/").split("/"):
            schema = schema[part]
    return pointer, schema


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
