"""PURE: whether what a task does, and what follows it, can be executed, as far as their texts tell."""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.outbound.addresses import AddressPolicy
from shared.pipeline.follow_up import check_follow_up
from shared.pipeline.texts import Budget
from shared.pipeline.validation import check_pipeline
from shared.tasks.fields import check_concurrency, check_window
from shared.vocabulary.follow_up import FollowUp
from shared.vocabulary.pipeline import Payload

FOLLOW_UPS = ("on_success", "on_failure")
DEDUPLICATION = ("dedupe_key", "dedupe_window_seconds")


def check_execution(task: Mapping[str, Any], changed: Mapping[str, Any], policy: AddressPolicy) -> None:
    """`task`: the stored forms of its fields as they will be; `changed`: those that the request gives. What a request
    leaves alone is not judged anew, but the parameters that a follow-up speaks of. Raises Invalid."""
    budget = Budget()
    if "payload" in changed:
        check_pipeline(msgspec.convert(changed["payload"], Payload), policy, budget)
    check_concurrency(task["concurrency_key"], task["concurrency_limit"])
    if any(name in changed for name in DEDUPLICATION):
        check_window(task["dedupe_key"], task["dedupe_window_seconds"])
    for name in FOLLOW_UPS:
        if task[name] is not None and not {name, "payload"}.isdisjoint(changed):
            params = task["payload"].get("params") or {}
            check_follow_up(msgspec.convert(task[name], FollowUp), params, policy, name, budget)
