"""The form of a task's payload: parameters, and the steps that act on them."""

from typing import Annotated, Any

import msgspec

from shared.vocabulary.limits import TIMEOUT_SECONDS

StepId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_-]{0,63}$")]


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"arguments": "with"}):
    """One action: `uses` names the tool, `with` holds its arguments."""

    id: StepId
    uses: str
    arguments: dict[str, Any] = {}
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=TIMEOUT_SECONDS)] | None = None


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a task."""

    pipeline: Annotated[tuple[Step, ...], msgspec.Meta(min_length=1, max_length=1)]
    params: dict[str, Any] = {}
