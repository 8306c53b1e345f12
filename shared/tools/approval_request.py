"""`approval.request`: the run goes on when somebody has decided."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec, is_open
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import (
    APPROVAL_DETAILS_BYTES,
    APPROVAL_PROMPT_CHARACTERS,
    APPROVAL_SECONDS_DEFAULT,
    WAIT_SECONDS,
)


class ApprovalRequestInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`prompt` and `details` are what the one who decides is shown. `on_timeout`: what counts as decided when nobody
    did; `on_reject`: whether a rejection fails the step or is its output."""

    prompt: Annotated[str, msgspec.Meta(min_length=1, max_length=APPROVAL_PROMPT_CHARACTERS)]
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    timeout_seconds: Annotated[int, msgspec.Meta(ge=1, le=WAIT_SECONDS)] = APPROVAL_SECONDS_DEFAULT
    on_timeout: Literal["fail", "approve", "reject"] = "fail"
    on_reject: Literal["fail", "continue"] = "fail"


def check_approval_request(arguments: Mapping[str, Any], _policy: AddressPolicy, field: str) -> None:
    details = arguments.get("details", {})
    if not is_open(details) and len(msgspec.json.encode(details)) > APPROVAL_DETAILS_BYTES:
        message = f"The details have at most {APPROVAL_DETAILS_BYTES} bytes of JSON."
        raise invalid_field(f"{field}.details", message, "too_long")


APPROVAL_REQUEST = ToolSpec(
    name="approval.request",
    summary="Wait for somebody's decision.",
    description="Parks the run until `POST /approvals/{id}/approve` or `/reject`. The output tells the decision. A "
    "rejection fails the step, unless `on_reject` is `continue`; when nobody decides within `timeout_seconds`, the "
    "step fails, unless `on_timeout` says what that counts as.",
    input=ApprovalRequestInput,
    output={
        "type": "object",
        "properties": {
            "decision": {"enum": ["approved", "rejected"]},
            "decided_by": {"type": ["string", "null"], "description": "An agent's name; null after a timeout."},
            "decided_at": {"type": "string", "format": "date-time"},
            "note": {"type": ["string", "null"]},
        },
    },
    example={
        "id": "ask",
        "uses": "approval.request",
        "with": {"prompt": "Send the invoice of ${params.amount} €?", "details": {"to": "${params.to}"}},
    },
    check=check_approval_request,
    can_wait=True,
)
