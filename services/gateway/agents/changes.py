"""PURE: what a request to change an agent changes."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from services.gateway.agents.names import clean_name
from services.gateway.agents.rules import grantable, stored_limits
from services.gateway.agents.wire import AgentLimits, AgentUpdate, StoredAgent
from services.gateway.audit.wire import Action
from services.gateway.auth.wire import Identity
from shared.vocabulary.names import name_key
from shared.vocabulary.states import AgentStatus

# Such a URL is often a secret by itself.
CONFIDENTIAL = frozenset({"webhook_url"})


class AgentChanges(msgspec.Struct, frozen=True):
    """`values` of the columns that get another value, and what they were `before`."""

    values: Mapping[str, Any]
    before: Mapping[str, Any]

    @property
    def action(self) -> Action:
        match self.values.get("status"):
            case AgentStatus.DISABLED:
                return Action.AGENT_DISABLED
            case AgentStatus.ACTIVE:
                return Action.AGENT_ENABLED
            case _:
                return Action.AGENT_UPDATED

    @property
    def columns(self) -> dict[str, Any]:
        """As they are stored."""
        name = self.values.get("name")
        return {**self.values} if name is None else {**self.values, "name_key": name_key(name)}

    @property
    def begins_to_count_runs(self) -> bool:
        return "runs_per_day" in self.values.get("limits", {}) and "runs_per_day" not in self.before["limits"]

    def for_audit(self) -> dict[str, Any]:
        """Of what is confidential only that it changed."""
        told = {}
        for name, after in self.values.items():
            told[name] = "changed" if name in CONFIDENTIAL else {"before": self.before[name], "after": after}
        return {"changed": told}


def changes_of(caller: Identity, agent: StoredAgent, wanted: AgentUpdate) -> AgentChanges:
    """Raises Invalid for a value that cannot be stored, Forbidden for scopes that the caller does not hold."""
    given = {name: _stored(caller, name, value) for name, value in msgspec.structs.asdict(wanted).items()}
    known = msgspec.structs.asdict(agent)
    values = {name: value for name, value in given.items() if value is not UNSET and value != known[name]}
    return AgentChanges(values, {name: known[name] for name in values})


def _stored(caller: Identity, name: str, value: object) -> object:
    match value:
        case str() if name == "name":
            return clean_name(value)
        case list():
            return grantable(caller, value)
        case AgentLimits():
            return stored_limits(value)
        case _:
            return value
