"""Who a request comes from."""

from datetime import datetime
from uuid import UUID

import msgspec

from shared.tasks.quotas import NO_OWN_LIMITS, OwnLimits, shortest_interval_seconds
from shared.vocabulary.scopes import Scope, is_granted


class Identity(msgspec.Struct, frozen=True):
    """The agent that holds the token. `limits`: what was set for it; None where the defaults hold. `token_key_id`: the
    token's public part."""

    agent_id: UUID
    name: str
    scopes: frozenset[str]
    limits: OwnLimits = NO_OWN_LIMITS
    token_key_id: str | None = None

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def owner_filter(self) -> UUID | None:
        """Whose objects it sees; None for everybody's."""
        return None if self.is_admin else self.agent_id

    @property
    def shortest_interval_seconds(self) -> int:
        return shortest_interval_seconds(self.limits.min_interval_seconds, is_admin=self.is_admin)

    def holds(self, scope: Scope) -> bool:
        return is_granted(scope, self.scopes)


class StoredToken(msgspec.Struct, frozen=True):
    """What the database knows of a token. `is_valid`: not revoked, its agent active. `seconds_left`: None for one that
    does not expire."""

    secret_hash: bytes
    is_valid: bool
    is_use_unrecorded: bool
    identity: Identity
    seconds_left: float | None


class NewToken(msgspec.Struct, frozen=True):
    """Shown once. `token` is null in a repeated answer: only its hash is stored."""

    token: str | None
    token_key_id: str
    token_expires_at: datetime
