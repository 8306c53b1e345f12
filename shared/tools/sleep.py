"""`sleep`: the run goes on later, and holds nothing meanwhile."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.tools.base import ToolSpec
from shared.vocabulary.faults import invalid_field
from shared.vocabulary.limits import WAIT_SECONDS


class SleepInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of the two."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=WAIT_SECONDS)] | None = None
    until: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


def check_sleep(arguments: Mapping[str, Any], _policy: AddressPolicy, field: str) -> None:
    given = [name for name in ("seconds", "until") if arguments.get(name) is not None]
    if len(given) != 1:
        raise invalid_field(field, "Give either seconds or until.", "required")


SLEEP = ToolSpec(
    name="sleep",
    summary="Go on later.",
    description="Parks the run for some seconds, or until an instant (RFC 3339, with its offset). It holds no slot "
    f"of an executor meanwhile. At most {WAIT_SECONDS // 86_400} days; a past instant ends the step at once.",
    input=SleepInput,
    output={"type": "object", "properties": {"slept_seconds": {"type": "number"}}},
    example={"id": "pause", "uses": "sleep", "with": {"seconds": 90}},
    check=check_sleep,
    can_wait=True,
    is_answered=False,
)
