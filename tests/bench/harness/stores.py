"""Real PostgreSQL and Valkey that keep what they acknowledged, for as long as the bench runs."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from shared.migrations import runner

SHOWN = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "max_wal_size",
    "checkpoint_timeout",
    "autovacuum",
)


class Stores:
    """As `make run` starts them, with no setting changed."""

    def __init__(self, postgres: EmbeddedPostgres, valkey: EmbeddedValkey) -> None:
        self._postgres = postgres
        self._valkey = valkey

    @property
    def redis_url(self) -> str:
        return self._valkey.url()

    @contextlib.asynccontextmanager
    async def fresh_database(self) -> AsyncIterator[str]:
        """The URL of a migrated database without rows."""
        name = f"bench_{uuid4().hex[:12]}"
        async with self._connected() as admin:
            await admin.execute(f"CREATE DATABASE {name}")
            try:
                await runner.upgrade(self._postgres.url(name))
                yield self._postgres.url(name)
            finally:
                await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    async def postgres_settings(self) -> dict[str, str]:
        async with self._connected() as admin:
            return {name: await admin.fetchval("SELECT current_setting($1)", name) for name in SHOWN}

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self._postgres.url("postgres"))
        try:
            yield connection
        finally:
            await connection.close()


@contextlib.contextmanager
def started_stores() -> Iterator[Stores]:
    with tempfile.TemporaryDirectory(prefix="pao-bench-") as folder, contextlib.ExitStack() as stack:
        postgres = EmbeddedPostgres(Path(folder))
        stack.callback(postgres.stop)
        postgres.start()
        valkey = EmbeddedValkey(Path(folder))
        stack.callback(valkey.stop)
        valkey.start()
        yield Stores(postgres, valkey)
