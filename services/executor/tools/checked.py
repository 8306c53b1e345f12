"""Looks at arguments once more: templates have put values where the gateway saw expressions."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from services.executor.tools.base import ToolFault
from services.executor.tools.storable import storable
from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec
from shared.vocabulary.decoding import decode
from shared.vocabulary.faults import Invalid
from shared.vocabulary.states import ErrorClass

T = TypeVar("T", bound=msgspec.Struct)

FIELD = "with"
CONNECTS_NOWHERE = AddressPolicy()


def checked(arguments: Mapping[str, object], spec: ToolSpec, into: type[T]) -> T:
    """The input of a tool that stores it and calls nobody, fit for Postgres. Raises ToolFault."""
    try:
        kept = storable(msgspec.to_builtins(arguments))
        given = decode(kept, into, FIELD)
        spec.check(msgspec.to_builtins(given), CONNECTS_NOWHERE, FIELD)
    except Invalid as refusal:
        wrong = refusal.validation_errors[0]
        raise ToolFault(ErrorClass.TOOL, f"{wrong.field}: {wrong.message}") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ToolFault(ErrorClass.TOOL, f"{FIELD}: This cannot be stored as JSON: {error}.") from None
    return given


def lease_lost() -> ToolFault:
    """Whatever it says is recorded by nobody: the run belongs to another executor."""
    return ToolFault(ErrorClass.LEASE_LOST, "Another executor has taken over this run.")
