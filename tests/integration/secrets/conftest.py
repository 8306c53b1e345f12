from uuid import UUID

import asyncpg
import pytest

from shared.secrets.ring import KeyRing
from tests.integration.secrets.keeping import OLD
from tests.support.rows import make_agent


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(OLD)


@pytest.fixture
async def agent_id(pool: asyncpg.Pool) -> UUID:
    return await make_agent(pool)
