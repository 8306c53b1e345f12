"""PURE: what types are called in the document."""

from typing import Any, get_args, get_origin


def type_name(annotation: object) -> str:
    """`TaskView`, and `TaskViewPage` for `Page[TaskView]`."""
    outer: Any = get_origin(annotation) or annotation
    return "".join(each.__name__ for each in (*get_args(annotation), outer))
