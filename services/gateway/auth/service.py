"""Tells from a token which agent calls, and gives out new tokens."""

import hmac
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.cache import Known, TokenCache
from services.gateway.auth.repository import find_token, insert_token, record_use
from services.gateway.auth.token import hash_secret, new_token, parse_token
from services.gateway.auth.wire import Identity, NewToken
from services.gateway.database import Database
from shared.vocabulary.faults import Unauthenticated, Unavailable
from shared.vocabulary.limits import TOKEN_DAYS_DEFAULT
from shared.vocabulary.run_token import RunToken, read_run_token

logger = structlog.get_logger(__name__)

NOBODY = b"\x00" * 32


class NotIdentified(Unauthenticated):
    """The same for every reason, so that it tells nobody which tokens exist. `reason` is for the audit trail."""

    def __init__(self, reason: str) -> None:
        super().__init__("Send a valid token in the header Authorization: Bearer pao_….")
        self.reason = reason


def unauthenticated(reason: str = "missing") -> Unauthenticated:
    return NotIdentified(reason)


class Authenticator:
    """What the database says of a token is believed for less than a second. Without the database nobody is let in
    longer."""

    def __init__(self, database: Database, token_key: bytes) -> None:
        self._database = database
        self._token_key = token_key
        self._cache = TokenCache()

    async def identify(self, text: str) -> Identity:
        """Raises Unauthenticated, or Unavailable when the database cannot be asked."""
        token = parse_token(text)
        if token is None:
            raise unauthenticated("malformed")
        known = self._cache.find(token.key_id) or await self._ask(token.key_id)
        stored = known.stored
        # An unknown key id costs the same work as a wrong secret.
        expected = NOBODY if stored is None else stored.secret_hash
        is_equal = hmac.compare_digest(hash_secret(self._token_key, token.secret), expected)
        if stored is None or not is_equal or not known.is_valid(self._cache.now()):
            raise unauthenticated("not_valid" if is_equal else "unknown")
        if stored.is_use_unrecorded:
            await self._record_use(token.key_id, known)
        return stored.identity

    def forget(self) -> None:
        """Tokens or agents have changed: the next request of each asks anew."""
        self._cache.forget()

    def run_token(self, text: str) -> RunToken | None:
        """The step for which a token speaks that an executor gave out."""
        return read_run_token(self._token_key, text)

    async def issue(
        self,
        connection: AsyncConnection,
        agent_id: UUID,
        label: str,
        *,
        days: int = TOKEN_DAYS_DEFAULT,
        expires_at: datetime | None = None,
    ) -> NewToken:
        """Make a token for an agent, which lasts so many days unless it is told until when. Its secret is in the
        answer and nowhere else."""
        token = new_token()
        secret_hash = hash_secret(self._token_key, token.secret)
        lasts_until = await insert_token(
            connection,
            key_id=token.key_id,
            agent_id=agent_id,
            secret_hash=secret_hash,
            label=label,
            days=days,
            expires_at=expires_at,
        )
        return NewToken(token.text, token.key_id, lasts_until)

    async def _ask(self, key_id: str) -> Known:
        asked_at = self._cache.now()
        stored = await self._database.read(lambda connection: find_token(connection, key_id))
        return self._cache.keep(key_id, asked_at, stored)

    async def _record_use(self, key_id: str, known: Known) -> None:
        self._cache.note_use(key_id, known)
        try:
            await self._database.write(lambda connection: record_use(connection, key_id))
        except Unavailable as fault:
            logger.warning("token_use_not_recorded", key_id=key_id, error=fault.detail)
