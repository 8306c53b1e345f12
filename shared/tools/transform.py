"""`transform`: values made of other values, by CEL alone."""

from typing import Any

import msgspec

from shared.tools.base import ToolSpec


class TransformInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`value` is any JSON value, with `${…}` where something is to be computed."""

    value: Any


TRANSFORM = ToolSpec(
    name="transform",
    summary="Compute a value.",
    description="Gives `value` with every `${…}` in it evaluated. It calls nobody. "
    "A secret in its output is shown as [secret], to later steps too.",
    input=TransformInput,
    output={},
    example={
        "id": "greeting",
        "uses": "transform",
        "with": {"value": {"text": "Hello ${params.name}", "urgent": "${params.level > 3}"}},
    },
    is_pure=True,
    takes_secrets=True,
)
