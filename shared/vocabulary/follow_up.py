"""The form of what follows the outcome of a run: an event, or a call of a webhook."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Publish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An event, as `event.publish` makes it. Without `payload` it tells which run ended, and how."""

    topic: str
    payload: Any | UnsetType = UNSET


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A POST, checked and sent as `http.request` does. Without `json` it tells which run ended, and how."""

    url: str
    headers: dict[str, str] = {}
    secret: str | list[str] | UnsetType = UNSET
    json: Any | UnsetType = UNSET


class FollowUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of the two. Texts in it may hold `${…}` over run, task, event, params and secrets."""

    publish: Publish | UnsetType = UNSET
    webhook: Webhook | UnsetType = UNSET
