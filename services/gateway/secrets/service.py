"""What can be done with secrets. Every agent has its own, and nobody sees a value again."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.audit.service import record
from services.gateway.audit.wire import Action
from services.gateway.http.act import Act
from services.gateway.secrets import repository
from services.gateway.secrets.references import reference_pattern
from services.gateway.secrets.wire import SecretView
from shared.secrets.names import is_secret_name
from shared.secrets.ring import KeyRing, Place
from shared.vocabulary.faults import Conflict, Forbidden, NotFound, PayloadTooLarge, invalid_field
from shared.vocabulary.limits import SECRET_BYTES, SECRET_NAME_CHARACTERS, SECRETS_BYTES_PER_AGENT

SECRETS_PER_AGENT = 1000


class SecretService:
    """`ring` None: no key was given, and no secret can be set."""

    def __init__(self, ring: KeyRing | None) -> None:
        self._ring = ring

    async def put(self, connection: AsyncConnection, act: Act, name: str, value: str) -> SecretView:
        """Version 1 is a new one."""
        check_name(name)
        if len(value.encode()) > SECRET_BYTES:
            raise value_too_large()
        ring = self._ring
        if ring is None:
            message = "This system was started without a key for secrets: its operator sets PAO_SECRETS_KEY."
            raise Conflict(message, error_code="secrets_not_configured")
        place = await self._next_place(connection, act.caller.agent_id, name, len(value.encode()))
        view = await repository.put_secret(connection, place, ring.seal(place, value))
        action = Action.SECRET_CREATED if place.version == 1 else Action.SECRET_REPLACED
        await _record(connection, act, action, name, place.version)
        return view

    async def _next_place(self, connection: AsyncConnection, agent_id: UUID, name: str, size: int) -> Place:
        """For a value of so many bytes. Raises Forbidden for what the agent has no room for."""
        await repository.lock_secrets(connection, agent_id)
        known = await repository.find_secret(connection, agent_id, name)
        others, bytes_of_others = await repository.measure_others(connection, agent_id, name)
        if known is None and others >= SECRETS_PER_AGENT:
            raise _no_room(f"An agent has at most {SECRETS_PER_AGENT} secrets")
        if bytes_of_others + size > SECRETS_BYTES_PER_AGENT:
            raise _no_room(f"The secrets of an agent have at most {SECRETS_BYTES_PER_AGENT} bytes together")
        return Place(agent_id, name, 1 if known is None else known.version + 1)

    async def find(self, connection: AsyncConnection, agent_id: UUID, name: str) -> SecretView:
        known = await repository.find_secret(connection, agent_id, name) if is_secret_name(name) else None
        if known is None:
            raise NotFound("There is no such secret.")
        return known

    async def list(
        self, connection: AsyncConnection, agent_id: UUID, limit: int, offset: int
    ) -> tuple[list[SecretView], int]:
        return await repository.list_secrets(connection, agent_id, limit, offset)

    async def delete(self, connection: AsyncConnection, act: Act, name: str) -> None:
        """Raises Conflict while a task that may still run refers to it."""
        agent_id = act.caller.agent_id
        await repository.lock_secrets(connection, agent_id)
        known = await self.find(connection, agent_id, name)
        first, total = await repository.find_tasks_that_use(connection, agent_id, reference_pattern(name))
        if total:
            listed = ", ".join(map(str, first)) + (", …" if total > len(first) else "")
            message = f"{total} task{'s use' if total > 1 else ' uses'} this secret: {listed}."
            raise Conflict(message, error_code="in_use")
        await repository.delete_secret(connection, agent_id, name)
        await _record(connection, act, Action.SECRET_DELETED, name, known.version)


def check_name(name: str) -> None:
    if not is_secret_name(name):
        message = (
            f"A name has up to {SECRET_NAME_CHARACTERS} letters, digits and underscores, begins with no digit, and "
            "does not stand between double underscores."
        )
        raise invalid_field("name", message, "invalid_name")


def _no_room(bound: str) -> Forbidden:
    return Forbidden(f"{bound}. Delete one that is not used.", error_code="quota_exceeded")


def value_too_large() -> PayloadTooLarge:
    return PayloadTooLarge(f"A secret has at most {SECRET_BYTES} bytes.")


async def _record(connection: AsyncConnection, act: Act, action: Action, name: str, version: int) -> None:
    """Names are an agent's own, so that the agent is part of what identifies a secret."""
    subject = f"{act.caller.agent_id}/{name}"
    await record(connection, act, action, subject, {"name": name, "version": version})
