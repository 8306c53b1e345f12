"""The schemas of bodies: those of msgspec, which reads and writes the bodies, not a second reading of types."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
import msgspec.inspect

from shared.tools.base import ToolSpec
from shared.tools.catalogue import CATALOGUE
from shared.vocabulary.pipeline import Parallel, Payload, Step

Schema: TypeAlias = dict[str, Any]
Place: TypeAlias = Callable[[str], str]

REFERENCE = "#/components/schemas/"
GENERIC = re.compile(r"^(?P<outer>[A-Za-z]+)_(?P<inner>.+)_$")
EXPRESSION, ENTRY, INPUT = "Expression", "PipelineEntry", "InputOf"


class Schemas:
    """`components` by name, with the pipelines described down to the input of every tool."""

    def __init__(self, types: Iterable[Any]) -> None:
        wanted = [*dict.fromkeys([*types, Payload, Step, Parallel])]
        found, components = msgspec.json.schema_components(
            wanted, ref_template=REFERENCE + "{name}", schema_hook=_any_value
        )
        self._by_type = dict(zip(map(_key, wanted), map(_tidy, found), strict=True))
        self.components = {_name(name): _tidy(schema) for name, schema in components.items()}
        _say_instants(self.components, wanted)
        self.components |= _of_pipelines(self.components["Step"], CATALOGUE.values())
        self.components["Payload"]["properties"]["pipeline"]["items"] = _reference(ENTRY)
        self.components["Parallel"]["properties"]["parallel"]["items"] = _reference("Step")

    def of(self, annotation: object) -> Schema:
        """What stands for the type in an operation: a reference for a struct."""
        return dict(self._by_type[_key(annotation)])


def _say_instants(components: Mapping[str, Schema], types: Iterable[Any]) -> None:
    """msgspec tells the format of an instant only where a type demands an offset; those that are answered have one."""
    waiting, seen = [*msgspec.inspect.multi_type_info(types)], set()
    while waiting:
        kind = waiting.pop()
        waiting += _within(kind)
        if isinstance(kind, msgspec.inspect.StructType) and kind.cls not in seen:
            seen.add(kind.cls)
            waiting += [field.type for field in kind.fields]
            properties = components.get(kind.cls.__name__, {}).get("properties", {})
            for field in kind.fields:
                if any(isinstance(each, msgspec.inspect.DateTimeType) for each in (field.type, *_within(field.type))):
                    _add_format(properties[field.encode_name])


def _within(kind: msgspec.inspect.Type) -> list[msgspec.inspect.Type]:
    match kind:
        case msgspec.inspect.UnionType(types=types):
            return [*types]
        case msgspec.inspect.CollectionType(item_type=item):
            return [item]
        case msgspec.inspect.DictType(value_type=value):
            return [value]
        case msgspec.inspect.Metadata(type=inner):
            return [inner]
        case _:
            return []


def _add_format(schema: Schema) -> None:
    for each in (schema, *schema.get("anyOf", ())):
        if each.get("type") == "string":
            each["format"] = "date-time"


def _any_value(kind: type) -> Schema:
    """`object` stands for any JSON value."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError


def _key(annotation: object) -> str:
    return repr(annotation)


def _name(name: str) -> str:
    generic = GENERIC.match(name)
    return name if generic is None else f"{generic['inner'].rpartition('.')[2]}{generic['outer']}"


def _tidy(schema: Any) -> Any:  # noqa: ANN401 (a tree of JSON)
    """References by our names, and docstrings as the text that they are."""
    match schema:
        case dict():
            return {key: _tidied(key, value) for key, value in schema.items()}
        case list():
            return [_tidy(each) for each in schema]
        case _:
            return schema


def _tidied(key: str, value: Any) -> Any:  # noqa: ANN401 (a tree of JSON)
    if key in ("title", "description") and isinstance(value, str):
        return " ".join(inspect.cleandoc(value).split()) if key == "description" else _name(value)
    if key == "$ref" and isinstance(value, str):
        return REFERENCE + _name(value.removeprefix(REFERENCE))
    return _tidy(value)


def _reference(name: str) -> Schema:
    return {"$ref": REFERENCE + name}


def _of_pipelines(step: Schema, tools: Iterable[ToolSpec]) -> dict[str, Schema]:
    """`Step` is a choice by `uses`: one form for each tool, around the schema of its input."""
    tools = [*tools]
    forms = {tool.name: f"Step_{tool.name.replace('.', '_')}" for tool in tools}
    made: dict[str, Schema] = {forms[tool.name]: _form_of(step, tool) for tool in tools}
    for tool in tools:
        made |= _input_of(tool)
    made["Step"] = {
        "description": step["description"],
        "oneOf": [_reference(name) for name in forms.values()],
        "discriminator": {
            "propertyName": "uses",
            "mapping": {tool: REFERENCE + name for tool, name in forms.items()},
        },
    }
    made[ENTRY] = {
        "description": "One step, or a group of steps that run at the same time.",
        "oneOf": [_reference("Step"), _reference("Parallel")],
    }
    made[EXPRESSION] = {
        "type": "string",
        "pattern": r"\$\{",
        "description": "Text with `${…}`, which holds a CEL expression. One `${…}` alone keeps the value's type.",
        "examples": ["${params.url}", "${steps.read.output.count}"],
    }
    return made


def _form_of(step: Schema, tool: ToolSpec) -> Schema:
    properties = {
        **step["properties"],
        "uses": {"const": tool.name, "type": "string"},
        "with": _reference(_input_name(tool)),
    }
    described = f"{tool.summary} {tool.description}"
    needs_input = ["with"] if tool.input_schema["$defs"][tool.input.__name__].get("required") else []
    return {
        **step,
        "title": tool.name,
        "description": " ".join(described.split()),
        "properties": properties,
        "required": [*step["required"], *needs_input],
        "examples": [dict(tool.example)],
    }


def _input_of(tool: ToolSpec) -> dict[str, Schema]:
    """Components of a tool's own, because any value in them may also be an expression."""
    prefix = _input_name(tool)
    root = tool.input.__name__

    def place(name: str) -> str:
        return REFERENCE + (prefix if name == root else f"{prefix}_{name}")

    return {
        place(name).removeprefix(REFERENCE): _opened(_tidy(schema), place)
        for name, schema in tool.input_schema["$defs"].items()
    }


def _input_name(tool: ToolSpec) -> str:
    return INPUT + "".join(part.capitalize() for part in re.split(r"[._]", tool.name))


def _opened(schema: Schema, place: Place) -> Schema:
    """The same schema, in which an expression may stand for each value."""
    opened: Schema = {}
    for key, value in schema.items():
        match key, value:
            case "$ref", str():
                opened[key] = place(value.rpartition("/")[2])
            case "properties", Mapping():
                opened[key] = {name: _or_expression(each, place) for name, each in value.items()}
            case "items" | "additionalProperties", Mapping() if value:
                opened[key] = _or_expression(value, place)
            case "anyOf", list():
                opened[key] = [_opened(each, place) for each in value]
            case _:
                opened[key] = value
    return opened


def _or_expression(schema: Mapping[str, Any], place: Place) -> Schema:
    described: Schema = {key: schema[key] for key in ("description", "default") if key in schema}
    inner = _opened({key: value for key, value in schema.items() if key not in described}, place)
    if inner in ({}, {"type": "string"}):
        return dict(schema)
    choices = inner["anyOf"] if inner.keys() == {"anyOf"} else [inner]
    return {"anyOf": [*choices, _reference(EXPRESSION)], **described}
