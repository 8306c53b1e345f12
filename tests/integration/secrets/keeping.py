"""Sets secrets as the gateway does."""

import os
from uuid import UUID

import asyncpg

from shared.secrets.ring import KeyRing, Place

OLD, NEW = os.urandom(32), os.urandom(32)


async def put(pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID, version: int = 1, **values: str) -> None:
    for name, value in values.items():
        sealed = ring.seal(Place(agent_id, name, version), value)
        await pool.execute(
            "INSERT INTO secret (agent_id, name, version, key_id, nonce, ciphertext) VALUES ($1, $2, $3, $4, $5, $6) "
            "ON CONFLICT (agent_id, name) DO UPDATE SET version = excluded.version, key_id = excluded.key_id, "
            "nonce = excluded.nonce, ciphertext = excluded.ciphertext",
            agent_id,
            name,
            version,
            sealed.key_id,
            sealed.nonce,
            sealed.ciphertext,
        )
