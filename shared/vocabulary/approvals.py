"""PURE: what is asked of the one who approves, and what a decision means to the step that waits for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from shared.vocabulary.states import ApprovalStatus


class Terms(msgspec.Struct, frozen=True):
    """What the column `details` holds: what the asker gave, and whether a rejection fails the step."""

    details: dict[str, Any] = {}
    on_reject: Literal["fail", "continue"] = "fail"


class Decision(msgspec.Struct, frozen=True):
    """`decided_by` is None when time has decided."""

    decision: ApprovalStatus
    decided_by: str | None
    decided_at: datetime | None
    note: str | None

    def output(self) -> dict[str, Any]:
        """Of the step."""
        output: dict[str, Any] = msgspec.to_builtins(self)
        return output


def terms_kept(terms: Terms) -> Mapping[str, Any]:
    """The form in which terms are stored."""
    kept: Mapping[str, Any] = msgspec.to_builtins(terms)
    return kept


def rejection(decided_by: str | None, note: str | None) -> str:
    """The sentence with which a step fails."""
    who = "because nobody decided in time" if decided_by is None else f"by {decided_by}"
    return f"The request was rejected {who}: {note}" if note else f"The request was rejected {who}."
