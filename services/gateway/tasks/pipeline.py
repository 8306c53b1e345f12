"""PURE: whether a task's payload can be executed, as far as its text tells."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.outbound.http_input import check_http_request
from shared.vocabulary.decoding import close_match
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import TIMEOUT_SECONDS

HTTP_REQUEST = "http.request"
TOOLS = (HTTP_REQUEST,)
STEPS_SUPPORTED = 1
STEP_ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One action of a pipeline. `uses` names the tool, `with` is its input."""

    id: str
    uses: str
    arguments: dict[str, Any] = msgspec.field(name="with", default_factory=dict)
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)] | None = None


class Payload(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a task does: the steps of `pipeline`, one after the other."""

    pipeline: Annotated[list[Step], msgspec.Meta(min_length=1)]
    params: dict[str, Any] | None = None


def check_pipeline(payload: Payload, policy: AddressPolicy) -> None:
    """Raises Invalid with the path of the first wrong value."""
    if len(payload.pipeline) > STEPS_SUPPORTED:
        message = "A pipeline has exactly one step at present; give each call a task of its own."
        raise invalid_field("payload.pipeline", message, "invalid_pipeline")
    for index, step in enumerate(payload.pipeline):
        _check_step(step, policy, f"payload.pipeline[{index}]")


def _check_step(step: Step, policy: AddressPolicy, field: str) -> None:
    if STEP_ID.fullmatch(step.id) is None:
        message = "A step's id is a name of up to 64 letters, digits and underscores that begins with no digit."
        raise invalid_field(f"{field}.id", message, "invalid_pipeline", suggestion="call")
    if step.uses not in TOOLS:
        message = f"There is no such tool; known ones are {', '.join(TOOLS)}."
        raise invalid_field(f"{field}.uses", message, "unknown_tool", suggestion=close_match(step.uses, TOOLS))
    check_http_request(step.arguments, policy, f"{field}.with")


def stored_form(payload: Payload) -> Mapping[str, Any]:
    """As plain values: what executors read."""
    plain: Mapping[str, Any] = msgspec.to_builtins(payload)
    return plain
