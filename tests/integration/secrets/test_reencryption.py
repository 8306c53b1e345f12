import asyncio
import os
import sys
from base64 import b64encode
from pathlib import Path
from subprocess import run
from typing import cast
from uuid import UUID

import asyncpg

from services.executor.secrets import SecretStore
from shared.database.pool import Connection
from shared.secrets.reencryption import BATCH, reencrypt
from shared.secrets.ring import KeyRing
from tests.integration.secrets.keeping import NEW, OLD, put


async def test_everything_gets_under_the_new_key_once_and_keeps_its_times(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, 1, **{f"n{number}": f"value {number}" for number in range(BATCH + 5)})
    before = await pool.fetch("SELECT name, version, created_at, updated_at FROM secret ORDER BY name")
    both = KeyRing(NEW, [OLD])
    async with pool.acquire() as connection:
        first = await reencrypt(connection, both)
        sealed = await connection.fetch("SELECT * FROM secret ORDER BY name")
        again = await reencrypt(connection, both)
        assert sealed == await connection.fetch("SELECT * FROM secret ORDER BY name")
    assert (first.resealed, first.overtaken, first.unreadable) == (BATCH + 5, 0, ())
    assert again.resealed == 0
    assert before == await pool.fetch("SELECT name, version, created_at, updated_at FROM secret ORDER BY name")
    found = await SecretStore(pool, KeyRing(NEW)).values(agent_id, ["n0", f"n{BATCH + 4}"])
    assert found == {"n0": "value 0", f"n{BATCH + 4}": f"value {BATCH + 4}"}


async def test_a_value_that_its_owner_replaces_meanwhile_is_not_set_back(
    pool: asyncpg.Pool, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, a="first")

    both = KeyRing(NEW, [OLD])
    others = iter([put(pool, ring, agent_id, version=2, a="second")])

    class Overtaken:
        """A connection after whose first statement somebody else is quicker."""

        async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
            rows = await pool.fetch(sql, *arguments)
            for change in others:
                await change
            return rows

    done = await reencrypt(cast("Connection", Overtaken()), both)
    assert (done.resealed, done.overtaken) == (0, 1)
    assert await SecretStore(pool, both).values(agent_id, ["a"]) == {"a": "second"}


async def test_the_command_tells_what_it_did_and_what_it_could_not(
    pool: asyncpg.Pool, database_url: str, ring: KeyRing, agent_id: UUID
) -> None:
    await put(pool, ring, agent_id, a="value of a")
    await put(pool, KeyRing(os.urandom(32)), agent_id, b="value of b")
    code, out, err = await asyncio.to_thread(_command, database_url, NEW, OLD)
    assert (code, out.split(" under ")[0]) == (1, "1 secrets sealed anew")
    assert f"cannot open {agent_id}/b: it was sealed under the key" in err
    assert await SecretStore(pool, KeyRing(NEW)).values(agent_id, ["a"]) == {"a": "value of a"}
    await pool.execute("DELETE FROM secret WHERE name = 'b'")
    assert (await asyncio.to_thread(_command, database_url, NEW, OLD))[0] == 0


def _command(database_url: str, key: bytes, old: bytes) -> tuple[int, str, str]:
    environment = {
        "PAO_DATABASE_URL": database_url,
        "PAO_SECRETS_KEY": b64encode(key).decode(),
        "PAO_SECRETS_KEYS_OLD": b64encode(old).decode(),
    }
    root = Path(__file__).parents[3]
    done = run(
        [sys.executable, "-m", "shared.secrets", "reencrypt"],
        cwd=root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
