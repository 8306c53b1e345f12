"""The values of secrets for the runs of this executor: in its memory, and nowhere else."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
import structlog

from services.executor.tools.base import ToolFault
from shared.database.faults import DATABASE_ERRORS
from shared.database.statements import load_statements
from shared.secrets.names import is_secret_name
from shared.secrets.ring import CannotOpen, Forged, KeyRing, Place, Sealed
from shared.vocabulary.limits import SECRETS_BYTES_PER_RUN, SECRETS_PER_PIPELINE
from shared.vocabulary.states import ErrorClass

logger = structlog.get_logger(__name__)

SQL = load_statements("services.executor", "sql/secrets.sql")
# How long a replaced or deleted secret may still be used.
CACHE_SECONDS = 5.0
CACHE_CHARACTERS = 8 * 1024 * 1024


class SecretMissing(ToolFault):
    """The agent has no secrets of these names. To try again makes sense once they are set, which nobody can foresee."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        listed = ", ".join(map(repr, self.names))
        super().__init__(ErrorClass.TEMPLATE, f"There is no secret {listed}.")


class SecretUnreadable(ToolFault):
    """It is there and cannot be opened. Another executor, or this one with the right key, may do better; what was
    changed or moved in the database stays unreadable."""

    def __init__(self, name: str, why: CannotOpen) -> None:
        message = f"The secret {name!r} cannot be opened: {why}. Setting it again mends it."
        super().__init__(ErrorClass.INTERNAL, message, retryable=not isinstance(why, Forged))
        self.names = (name,)


class SecretsTooMany(ToolFault):
    """More than one run may be given: each value is searched for in all that the run shows."""

    def __init__(self, bound: str) -> None:
        super().__init__(ErrorClass.TEMPLATE, f"{bound}. Split the pipeline, or put less into its secrets.")


class SecretsUnavailable(ToolFault):
    """No key was given to this executor, or the database cannot be asked."""

    def __init__(self, why: str) -> None:
        super().__init__(ErrorClass.INTERNAL, f"Secrets cannot be read: {why}.", retryable=True)


class SecretStore:
    """`ring` None: this executor was given no key."""

    def __init__(
        self, pool: asyncpg.Pool, ring: KeyRing | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._ring = ring
        self._opened = _Opened(clock)
        # Of many runs that find a value expired, one asks for it.
        self._asking: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def values(self, agent_id: UUID, names: Collection[str]) -> Mapping[str, str]:
        """What the agent's secrets of these names hold, as one run needs them. Raises SecretsTooMany, SecretMissing,
        SecretUnreadable, SecretsUnavailable."""
        if len(set(names)) > SECRETS_PER_PIPELINE:
            raise SecretsTooMany(f"A pipeline uses at most {SECRETS_PER_PIPELINE} secrets, not {len(set(names))}")
        found = self._opened.get(agent_id, names)
        if found is None:
            async with self._asking.setdefault(agent_id, asyncio.Lock()):
                found = self._opened.get(agent_id, names) or await self._fetch(agent_id, names)
        size = sum(len(value.encode()) for value in found.values())
        if size > SECRETS_BYTES_PER_RUN:
            raise SecretsTooMany(
                f"The secrets of a run have at most {SECRETS_BYTES_PER_RUN} bytes together, not {size}"
            )
        return found

    async def _fetch(self, agent_id: UUID, names: Collection[str]) -> Mapping[str, str]:
        if self._ring is None:
            raise SecretsUnavailable("this executor was started without PAO_SECRETS_KEY")
        wanted = [name for name in set(names) if is_secret_name(name)]
        try:
            rows = await self._pool.fetch(SQL["find_sealed"].sql, agent_id, wanted)
        except DATABASE_ERRORS as error:
            logger.warning("secrets_not_fetched", error=repr(error))
            raise SecretsUnavailable("the database did not answer") from error
        missing = set(names) - {row["name"] for row in rows}
        if missing:
            raise SecretMissing(missing)
        found = {row["name"]: _open(self._ring, agent_id, row) for row in rows}
        self._opened.put(agent_id, found)
        return found


class _Opened:
    """Values that were opened in the last seconds, the oldest first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._values: dict[tuple[UUID, str], tuple[float, str]] = {}
        self._characters = 0

    def get(self, agent_id: UUID, names: Collection[str]) -> Mapping[str, str] | None:
        """All of them or none."""
        oldest = self._clock() - CACHE_SECONDS
        found = {}
        for name in names:
            opened_at, value = self._values.get((agent_id, name), (oldest, ""))
            if opened_at <= oldest:
                return None
            found[name] = value
        return found

    def put(self, agent_id: UUID, values: Mapping[str, str]) -> None:
        now = self._clock()
        for name, value in values.items():
            self._drop((agent_id, name))
            self._values[agent_id, name] = (now, value)
            self._characters += len(value)
        while self._values and self._is_first_superfluous(now):
            self._drop(next(iter(self._values)))

    def _is_first_superfluous(self, now: float) -> bool:
        opened_at, _ = next(iter(self._values.values()))
        return self._characters > CACHE_CHARACTERS or opened_at <= now - CACHE_SECONDS

    def _drop(self, key: tuple[UUID, str]) -> None:
        self._characters -= len(self._values.pop(key, (0, ""))[1])


def _open(ring: KeyRing, agent_id: UUID, row: asyncpg.Record) -> str:
    place = Place(agent_id, row["name"], row["version"])
    try:
        return ring.open(place, Sealed(row["key_id"], row["nonce"], row["ciphertext"]))
    except CannotOpen as fault:
        logger.error("secret_not_opened", agent_id=str(agent_id), name=place.name, key_id=row["key_id"])  # noqa: TRY400
        raise SecretUnreadable(place.name, fault) from None
