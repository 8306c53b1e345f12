"""What can be done with tokens. Each change is one transaction, with its audit entry; no entry holds a secret."""

from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.agents.repository import find_agent, lock_agents
from services.gateway.agents.rules import check_may_change
from services.gateway.agents.service import no_such_agent, tell_of_change
from services.gateway.agents.wire import StoredAgent
from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.auth.service import Authenticator
from services.gateway.auth.wire import Identity
from services.gateway.clock import DatabaseClock
from services.gateway.http.act import Act
from services.gateway.http.paging import Found, PageRequest
from services.gateway.tokens import repository
from services.gateway.tokens.rules import clean_label, is_key_id, lifetime_of
from services.gateway.tokens.wire import TokenCreate, TokenCreated, TokenRotate, TokenRotated, TokenStatus, TokenView
from shared.vocabulary.faults import Conflict, Forbidden, NotFound
from shared.vocabulary.limits import TOKENS_PER_AGENT
from shared.vocabulary.scopes import Scope


class TokenService:
    """Whoever holds `agents:admin` manages the tokens of agents that have no scope which it lacks. An agent sees,
    rotates and revokes its own: that makes none of them mightier."""

    def __init__(self, authenticator: Authenticator, clock: DatabaseClock) -> None:
        self._authenticator = authenticator
        self._clock = clock

    async def create(self, connection: AsyncConnection, act: Act, agent_id: UUID, wanted: TokenCreate) -> TokenCreated:
        label = clean_label(wanted.label)
        days, expires_at = lifetime_of(wanted, self._clock.now())
        await _lock_agent(connection, act.caller, agent_id)
        await _check_room(connection, agent_id)
        issued = await self._authenticator.issue(connection, agent_id, label, days=days, expires_at=expires_at)
        view = await _found(connection, agent_id, issued.token_key_id)
        details = {"agent_id": str(agent_id), "label": label, "expires_at": view.expires_at}
        await record(connection, act, Action.TOKEN_CREATED, view.key_id, details)
        return TokenCreated(**msgspec.structs.asdict(view), token=issued.token)

    async def list(
        self, connection: AsyncConnection, caller: Identity, agent_id: UUID, request: PageRequest
    ) -> Found[TokenView]:
        is_visible = caller.agent_id == agent_id or caller.holds(Scope.AGENTS_ADMIN)
        if not is_visible or await find_agent(connection, agent_id) is None:
            raise no_such_agent()
        return await repository.list_tokens(connection, agent_id, request)

    async def rotate(
        self, connection: AsyncConnection, act: Act, agent_id: UUID, key_id: str, wanted: TokenRotate
    ) -> TokenRotated:
        await _lock_agent(connection, act.caller, agent_id)
        old = await _found(connection, agent_id, key_id)
        if old.status is not TokenStatus.ACTIVE:
            message = f"The token is {old.status}; only one that works can be rotated. Create a new one."
            raise Conflict(message, error_code="token_not_active")
        await _check_room(connection, agent_id)
        issued = await self._authenticator.issue(connection, agent_id, old.label, days=wanted.expires_in_days)
        await repository.retire_token(connection, key_id, wanted.overlap_seconds)
        retired = await _found(connection, agent_id, key_id)
        details = {
            "agent_id": str(agent_id),
            "label": old.label,
            "replaced_by": issued.token_key_id,
            "changed": {"expires_at": {"before": old.expires_at, "after": retired.expires_at}},
        }
        await record(connection, act, Action.TOKEN_ROTATED, key_id, details)
        tell_of_change(act, self._authenticator)
        view = await _found(connection, agent_id, issued.token_key_id)
        return TokenRotated(**msgspec.structs.asdict(view), token=issued.token, replaces=retired)

    async def revoke(self, connection: AsyncConnection, act: Act, agent_id: UUID, key_id: str) -> None:
        """Also of one that is revoked already: nothing happens then."""
        await _lock_agent(connection, act.caller, agent_id)
        token = await _found(connection, agent_id, key_id)
        if token.status is TokenStatus.REVOKED:
            return
        await repository.revoke_token(connection, key_id)
        details = {
            "agent_id": str(agent_id),
            "label": token.label,
            "changed": {"status": {"before": token.status, "after": TokenStatus.REVOKED}},
        }
        await record(connection, act, Action.TOKEN_REVOKED, key_id, details)
        tell_of_change(act, self._authenticator)


async def _lock_agent(connection: AsyncConnection, caller: Identity, agent_id: UUID) -> StoredAgent:
    """One change of an agent's tokens at a time. What the caller may not see is not there."""
    is_own = caller.agent_id == agent_id
    is_visible = is_own or caller.holds(Scope.AGENTS_ADMIN)
    agent = (await lock_agents(connection, [agent_id])).get(agent_id) if is_visible else None
    if agent is None:
        raise no_such_agent()
    if not is_own:
        check_may_change(caller, agent)
    return agent


async def _found(connection: AsyncConnection, agent_id: UUID, key_id: str) -> TokenView:
    token = await repository.lock_token(connection, agent_id, key_id) if is_key_id(key_id) else None
    if token is None:
        raise NotFound("There is no such token.")
    return token


async def _check_room(connection: AsyncConnection, agent_id: UUID) -> None:
    if await repository.count_active_tokens(connection, agent_id) >= TOKENS_PER_AGENT:
        message = f"An agent has at most {TOKENS_PER_AGENT} tokens that work. Revoke one that is not used."
        raise Forbidden(message, error_code="quota_exceeded")
