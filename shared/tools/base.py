"""What is known of a tool without running it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.vocabulary.scopes import Scope

TEMPLATE_MARK = "${"
# With these a tool that otherwise ends at once waits for an answer.
AWAITING = ("await_callback", "await_ack")

# Raises `Invalid` with the path of the first wrong value below the given field. It sees the input twice: when a task
# is written, with templates in place of values that are not known yet (see `is_open`), and before the act, without.
Check: TypeAlias = Callable[[Mapping[str, Any], AddressPolicy, str], None]


def nothing_to_check(_arguments: Mapping[str, Any], _policy: AddressPolicy, _field: str) -> None:
    """For a tool whose input is right when it has the right form."""


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """`input` is the struct that `with` must fit; `output` a JSON Schema; `example` a whole step; `scope` what the
    task's owner must hold when the step runs; `is_pure`: without effect, so that doing it again cannot be noticed;
    `can_wait`: it may park its run, for an answer if `is_answered`, else for a time; `takes_secrets`: nothing
    that it is given is stored as it is."""

    name: str
    summary: str
    description: str
    input: type[msgspec.Struct]
    output: Mapping[str, Any]
    example: Mapping[str, Any]
    check: Check = nothing_to_check
    scope: Scope | None = None
    is_pure: bool = False
    can_wait: bool = False
    is_answered: bool = True
    takes_secrets: bool = False

    @property
    def input_schema(self) -> Mapping[str, Any]:
        """JSON Schema 2020-12 of `with`, its definitions inside."""
        return MappingProxyType(msgspec.json.schema(self.input))

    def awaits_answer(self, arguments: Mapping[str, Any]) -> bool:
        """Whether somebody may answer for the step while it still runs."""
        optional = [name for name in AWAITING if name in self.input.__struct_fields__]
        return self.can_wait and self.is_answered and (not optional or any(arguments.get(name) for name in optional))


def is_open(value: object) -> bool:
    """Whether a value is, or holds, text that becomes something else when the step runs."""
    match value:
        case str():
            return TEMPLATE_MARK in value
        case dict():
            return any(is_open(each) for each in value.values())
        case list():
            return any(is_open(each) for each in value)
        case _:
            return False
