"""Messages as they are handed out, and what their agent says of them."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec

from shared.vocabulary.limits import INBOX_VISIBILITY_SECONDS, NOTE_CHARACTERS

Fence = Annotated[int, msgspec.Meta(ge=1)]


class InboxItem(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. `fence` is to be shown by whoever acknowledges it. Unless that happens before `visible_until`,
    the message comes again, with a higher fence. `sender` is the name of the agent that `sender_id` names."""

    id: UUID
    body: Any
    fence: int
    deliveries: int
    sender_id: UUID
    sender: str | None
    run_id: UUID | None
    step_id: str | None
    created_at: datetime
    visible_until: datetime
    expires_at: datetime
    traceparent: str | None


class InboxPage(msgspec.Struct, frozen=True):
    """Empty when nothing came within the time that was waited."""

    items: list[InboxItem]


class AckOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`output` becomes the output of the step that waits for it."""

    fence: Fence
    output: Any = None


class NackError(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    message: Annotated[str, msgspec.Meta(min_length=1, max_length=NOTE_CHARACTERS)]


class NackOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The message comes again after `delay_seconds` or, with `dead`, never: then a step that waits for it fails, with
    the message of `error`."""

    fence: Fence
    delay_seconds: Annotated[int, msgspec.Meta(ge=0, le=INBOX_VISIBILITY_SECONDS)] = 0
    error: NackError | None = None
    dead: bool = False


class ExtendOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`visibility_seconds` count from now."""

    fence: Fence
    visibility_seconds: Annotated[int, msgspec.Meta(ge=1, le=INBOX_VISIBILITY_SECONDS)]
