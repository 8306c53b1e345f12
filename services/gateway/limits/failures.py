"""Failed authentication: counted per token, per client and in all over all gateways, and slowed down beyond the limits.
Who sends a valid token is never asked."""

import msgspec

from services.gateway.auth.service import NotIdentified
from services.gateway.auth.token import parse_token
from services.gateway.http.client_address import network_of
from services.gateway.limits.account import Bucket
from services.gateway.limits.gcra import Rate
from services.gateway.limits.limiter import Limiter
from services.gateway.limits.notes import Failure, FailureNotes
from shared.vocabulary.faults import Fault, TooManyRequests

PERIOD_SECONDS = 300
NAME = "auth_failure"


class Allowed(msgspec.Struct, frozen=True):
    """Failures in five minutes: of one token or one client, and of everybody together."""

    per_client: int = 10
    in_all: int = 1000


class Attempt(msgspec.Struct, frozen=True):
    """A request whose `token` (text of any kind) was not accepted."""

    token: str
    address: str
    request_id: str
    trace_id: str | None


class FailedAttempts:
    def __init__(self, limiter: Limiter, notes: FailureNotes, allowed: Allowed) -> None:
        self._limiter = limiter
        self._notes = notes
        self._per_client = Rate(allowed.per_client, PERIOD_SECONDS)
        self._all = Bucket(f"{NAME}:all", Rate(allowed.in_all, PERIOD_SECONDS))

    async def judge(self, attempt: Attempt, fault: NotIdentified) -> Fault:
        """What the client is told. What is beyond the limits leaves no entry, so that nobody can fill the trail."""
        token = parse_token(attempt.token)
        key_id = None if token is None else token.key_id
        standings = await self._limiter.spend_each(self._buckets(attempt, key_id))
        seconds = max(standing.retry_after_seconds for standing in standings)
        if seconds:
            message = f"Too many requests had no valid token. Ask again in {seconds} s, or with a valid one at once."
            return TooManyRequests(message, error_code="rate_limited", retry_after_seconds=seconds)
        self._notes.add(Failure(key_id, attempt.address, fault.reason, attempt.request_id, attempt.trace_id))
        return fault

    def _buckets(self, attempt: Attempt, key_id: str | None) -> list[Bucket]:
        client = Bucket(f"{NAME}:client:{network_of(attempt.address)}", self._per_client)
        if key_id is None:
            return [self._all, client]
        return [self._all, client, Bucket(f"{NAME}:token:{key_id}", self._per_client)]
