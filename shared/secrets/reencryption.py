"""Gets every stored value under the current key, so that older keys can be thrown away."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
import msgspec

from shared.database.pool import Connection
from shared.database.statements import load_statements
from shared.secrets.ring import CannotOpen, KeyRing, Place, Sealed

SQL = load_statements("shared.secrets", "sql/reencryption.sql")
BATCH = 100
FIRST = (UUID(int=0), "")


class Reencrypted(msgspec.Struct, frozen=True):
    """`overtaken`: replaced by their owner meanwhile. `unreadable`: `agent/name: why`; they stay as they are."""

    resealed: int = 0
    overtaken: int = 0
    unreadable: tuple[str, ...] = ()


async def reencrypt(connection: Connection, ring: KeyRing) -> Reencrypted:
    """Harmless beside running services, and when run twice or by several at once."""
    done, after = Reencrypted(), FIRST
    while rows := await connection.fetch(SQL["find_sealed_otherwise"].sql, ring.current_id, *after, BATCH):
        done = await _reencrypt_batch(connection, ring, rows, done)
        after = (rows[-1]["agent_id"], rows[-1]["name"])
    return done


async def _reencrypt_batch(
    connection: Connection, ring: KeyRing, rows: Sequence[asyncpg.Record], done: Reencrypted
) -> Reencrypted:
    opened: list[tuple[Place, bytes, Sealed]] = []
    unreadable = [*done.unreadable]
    for row in rows:
        place = Place(row["agent_id"], row["name"], row["version"])
        try:
            value = ring.open(place, Sealed(row["key_id"], row["nonce"], row["ciphertext"]))
        except CannotOpen as fault:
            unreadable.append(f"{place.agent_id}/{place.name}: {fault}")
        else:
            opened.append((place, row["nonce"], ring.seal(place, value)))
    replaced = await _replace(connection, ring.current_id, opened)
    overtaken = done.overtaken + len(opened) - replaced
    return Reencrypted(done.resealed + replaced, overtaken, tuple(unreadable))


async def _replace(connection: Connection, key_id: str, opened: Sequence[tuple[Place, bytes, Sealed]]) -> int:
    rows = await connection.fetch(
        SQL["replace_seals"].sql,
        [place.agent_id for place, _, _ in opened],
        [place.name for place, _, _ in opened],
        [place.version for place, _, _ in opened],
        [nonce for _, nonce, _ in opened],
        key_id,
        [sealed.nonce for _, _, sealed in opened],
        [sealed.ciphertext for _, _, sealed in opened],
    )
    return len(rows)
