"""Real stores for every test that touches them: one PostgreSQL and one Valkey per session, one database per test."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from redis.asyncio import Redis

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from shared.database.pool import open_pool
from shared.migrations import runner
from shared.streams.client import open_redis

TEMPLATE = "template_of_tests"
# What makes a crash survivable and a test slow.
DURABILITY_OFF = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "200",
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    # Outside pytest's folder, which a session of its own closes to the account that runs root's PostgreSQL.
    with tempfile.TemporaryDirectory(prefix="pao-tests-") as folder:
        server = EmbeddedPostgres(Path(folder), settings=DURABILITY_OFF)
        server.start()
        try:
            asyncio.run(_make_template(server))
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A migrated database of the test's own."""
    async with _fresh_database(postgres, TEMPLATE) as url:
        yield url


@pytest.fixture
async def postgres_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """A database without tables."""
    async with _fresh_database(postgres, "template1") as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await open_pool(database_url, application_name="test", size=10)
    yield opened
    await opened.close()


@pytest.fixture
async def redis_url(valkey: EmbeddedValkey) -> str:
    """An empty Valkey. Tests share the process and run one after the other."""
    client = open_redis(valkey.url())
    await client.flushall()
    await client.aclose()
    return valkey.url()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def repository_root() -> Path:
    return Path(__file__).parent.parent


@contextlib.asynccontextmanager
async def _fresh_database(postgres: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres.url("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        yield postgres.url(name)
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


async def _make_template(server: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(server.url("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
    finally:
        await admin.close()
    await runner.upgrade(server.url(TEMPLATE))
