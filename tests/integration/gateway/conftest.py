"""The real gateway with real stores, and agents that call it."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog

from deploy.local.postgres import EmbeddedPostgres
from deploy.local.valkey import EmbeddedValkey
from services.gateway.service import Gateway
from services.gateway.settings import GatewaySettings
from tests.integration.gateway.bench import SECRETS_KEY, TOKEN_KEY, Bench, Caller, Served, bench, make_database, serving


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> Iterator[None]:
    """What structlog draws around a traceback while it is not set up takes seconds."""
    structlog.configure(
        logger_factory=structlog.ReturnLoggerFactory(), processors=[structlog.processors.JSONRenderer()]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def shared_gateway(
    postgres: EmbeddedPostgres, valkey: EmbeddedValkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One process for all tests that change nothing of it: they are apart as its agents are."""
    database_url = asyncio.run(make_database(postgres, "gateway_of_tests"))
    environment = {
        "PAO_DATABASE_URL": database_url,
        "PAO_REDIS_URL": valkey.url(),
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_SECRETS_KEY": SECRETS_KEY,
        "PAO_OUTBOUND_ALLOW": "127.0.0.0/8",
        # All tests call from one address.
        "PAO_AUTH_FAILURES_PER_CLIENT": "1000000",
        "PAO_AUTH_FAILURES_IN_ALL": "1000000",
    }
    with serving(environment, tmp_path_factory.mktemp("gateway") / "log") as url:
        yield Served(url, database_url)


@pytest.fixture
async def gateway(shared_gateway: Served) -> AsyncIterator[Bench]:
    async with bench(shared_gateway.url, shared_gateway.database_url) as opened:
        yield opened


@pytest.fixture
def settings(database_url: str, redis_url: str) -> GatewaySettings:
    """For a gateway of the test's own, on any free port: zero, which no setting may be."""
    return GatewaySettings(database_url=database_url, redis_url=redis_url, token_key=TOKEN_KEY, http_port=0)


@pytest.fixture
async def own_gateway(settings: GatewaySettings) -> AsyncIterator[Bench]:
    """In this process, with a database of its own."""
    service = Gateway(settings, "gateway-of-one-test")
    await service.start()
    try:
        async with bench(f"http://127.0.0.1:{service.port}", settings.database_url) as opened:
            yield opened
    finally:
        await service.stop()


@pytest.fixture
async def owner(gateway: Bench) -> Caller:
    return await gateway.caller()


@pytest.fixture
async def admin(gateway: Bench) -> Caller:
    return await gateway.admin()
