"""`Idempotency-Key`: a change that is asked for twice happens once and is answered twice the same."""

import hashlib
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import run, to_jsonb
from services.gateway.http.replies import REPLAYED, Reply
from shared.database.statements import load_statements
from shared.vocabulary.faults import BadRequest, Conflict, Invalid
from shared.vocabulary.limits import IDEMPOTENCY_KEY_CHARACTERS

SQL = load_statements("services.gateway.http", "sql/idempotency.sql")
KEPT_HOURS = 24


class RepeatedCall(msgspec.Struct, frozen=True):
    """What makes two requests the same: agent, route with its ids, and key. `fingerprint` is of the body."""

    agent_id: UUID
    route: str
    key: str
    fingerprint: bytes

    @property
    def lock_name(self) -> str:
        return f"{self.agent_id} {self.route} {self.key}"


def read_key(given: list[str]) -> str | None:
    if not given:
        return None
    key = given[0]
    is_printable = key.isascii() and key.isprintable()
    if len(given) > 1 or not is_printable or not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARACTERS:
        message = (
            f"An Idempotency-Key has 1 to {IDEMPOTENCY_KEY_CHARACTERS} printable ASCII characters, and comes once."
        )
        raise BadRequest(message, error_code="invalid_idempotency_key")
    return key


def fingerprint(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()


async def once(
    connection: AsyncConnection, call: RepeatedCall, change: Callable[[AsyncConnection], Awaitable[Reply]]
) -> Reply:
    """The stored reply, or that of `change`, which is stored in the same transaction. A refused change leaves nothing,
    so that the key can be used again with a mended request."""
    rows = await run(connection, SQL["lock_key"], call.lock_name)
    if not rows[0]["is_free"]:
        message = "A request with this Idempotency-Key is still being worked on. Ask again shortly."
        raise Conflict(message, error_code="idempotency_in_progress", retry_after_seconds=1)
    known = await _stored_reply(connection, call)
    if known is not None:
        return known
    made = await change(connection)
    await run(
        connection,
        SQL["store_reply"],
        call.agent_id,
        call.route,
        call.key,
        call.fingerprint,
        made.status,
        to_jsonb(made.headers),
        made.to_store,
        KEPT_HOURS,
    )
    return made


async def _stored_reply(connection: AsyncConnection, call: RepeatedCall) -> Reply | None:
    for row in await run(connection, SQL["find_reply"], call.agent_id, call.route, call.key):
        if row["fingerprint"] != call.fingerprint:
            message = "This Idempotency-Key was used for another body. Use a new key for a new request."
            raise Invalid(message, error_code="idempotency_mismatch")
        headers = msgspec.json.decode(row["headers"], type=dict[str, str])
        return Reply(row["status"], row["body"], {**headers, REPLAYED: "true"})
    return None
