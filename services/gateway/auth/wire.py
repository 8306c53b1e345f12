"""Who a request comes from."""

from datetime import datetime
from uuid import UUID

import msgspec

from shared.tasks.quotas import shortest_interval_seconds
from shared.vocabulary.scopes import Scope, is_granted


class Identity(msgspec.Struct, frozen=True):
    """The agent that holds the token. `min_interval_seconds` is its own limit, if it has one."""

    agent_id: UUID
    name: str
    scopes: frozenset[str]
    min_interval_seconds: int | None = None

    @property
    def is_admin(self) -> bool:
        return Scope.ADMIN in self.scopes

    @property
    def owner_filter(self) -> UUID | None:
        """Whose objects it sees; None for everybody's."""
        return None if self.is_admin else self.agent_id

    @property
    def shortest_interval_seconds(self) -> int:
        return shortest_interval_seconds(self.min_interval_seconds, is_admin=self.is_admin)

    def holds(self, scope: Scope) -> bool:
        return is_granted(scope, self.scopes)


class StoredToken(msgspec.Struct, frozen=True):
    """What the database knows of a token. `is_valid`: not expired, not revoked, its agent active."""

    secret_hash: bytes
    is_valid: bool
    is_use_unrecorded: bool
    identity: Identity


class NewToken(msgspec.Struct, frozen=True):
    """Shown once. `token` is null in a repeated answer: only its hash is stored."""

    token: str | None
    token_key_id: str
    token_expires_at: datetime
