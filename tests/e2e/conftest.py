"""One whole system for all tests of this folder: they kill its parts, and it has to come back."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.e2e.stack import Stack, started_system
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until

# Short, so that a takeover is seen within a test.
LEASES = {"PAO_LEASE_SECONDS": "7", "PAO_LEASE_RENEW_SECONDS": "0.5"}


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    data_dir = tmp_path_factory.mktemp("a path with spaces")
    with started_system(data_dir, LEASES) as port:
        yield data_dir, port


@pytest.fixture
async def stack(system: tuple[Path, int]) -> AsyncIterator[Stack]:
    async with aiohttp.ClientSession() as session:
        stack = Stack(*system, session)
        await wait_until(stack.is_ready)
        yield stack


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as started:
        yield started
