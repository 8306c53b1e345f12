"""Tells from a token which agent calls, and gives out new tokens."""

import hmac
import time
from uuid import UUID

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.auth.repository import find_token, insert_token, record_use
from services.gateway.auth.token import hash_secret, new_token, parse_token
from services.gateway.auth.wire import Identity, NewToken, StoredToken
from services.gateway.database import Database
from shared.vocabulary.faults import Unauthenticated, Unavailable
from shared.vocabulary.run_token import RunToken, read_run_token

logger = structlog.get_logger(__name__)

# How long a revoked token may still be accepted.
CACHE_SECONDS = 1.0
CACHE_TOKENS = 10_000
TOKEN_DAYS = 90
NOBODY = b"\x00" * 32


def unauthenticated() -> Unauthenticated:
    """The same for every reason, so that it tells nobody which tokens exist."""
    return Unauthenticated("Send a valid token in the header Authorization: Bearer pao_….")


class Authenticator:
    """What the database says of a token is believed for a second. Without the database nobody is let in longer."""

    def __init__(self, database: Database, token_key: bytes) -> None:
        self._database = database
        self._token_key = token_key
        self._known: dict[str, tuple[float, StoredToken | None]] = {}

    async def identify(self, text: str) -> Identity:
        """Raises Unauthenticated, or Unavailable when the database cannot be asked."""
        token = parse_token(text)
        if token is None:
            raise unauthenticated()
        stored = await self._stored(token.key_id)
        # An unknown key id costs the same work as a wrong secret.
        expected = NOBODY if stored is None else stored.secret_hash
        is_equal = hmac.compare_digest(hash_secret(self._token_key, token.secret), expected)
        if stored is None or not is_equal or not stored.is_valid:
            raise unauthenticated()
        if stored.is_use_unrecorded:
            await self._record_use(token.key_id, stored)
        return stored.identity

    def run_token(self, text: str) -> RunToken | None:
        """The step for which a token speaks that an executor gave out."""
        return read_run_token(self._token_key, text)

    async def issue(self, connection: AsyncConnection, agent_id: UUID, label: str) -> NewToken:
        """Make a token for an agent. Its secret is in the answer and nowhere else."""
        token = new_token()
        secret_hash = hash_secret(self._token_key, token.secret)
        expires_at = await insert_token(
            connection,
            key_id=token.key_id,
            agent_id=agent_id,
            secret_hash=secret_hash,
            label=label,
            days=TOKEN_DAYS,
        )
        return NewToken(token.text, token.key_id, expires_at)

    async def _stored(self, key_id: str) -> StoredToken | None:
        cached = self._known.get(key_id)
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        asked_at = time.monotonic()
        stored = await self._database.read(lambda connection: find_token(connection, key_id))
        if len(self._known) >= CACHE_TOKENS:
            self._known.clear()
        self._known[key_id] = (asked_at, stored)
        return stored

    async def _record_use(self, key_id: str, stored: StoredToken) -> None:
        # Not asked anew: a revocation must not take effect later for it.
        asked_at = self._known.get(key_id, (time.monotonic(), None))[0]
        self._known[key_id] = (asked_at, msgspec.structs.replace(stored, is_use_unrecorded=False))
        try:
            await self._database.write(lambda connection: record_use(connection, key_id))
        except Unavailable as fault:
            logger.warning("token_use_not_recorded", key_id=key_id, error=fault.detail)
