"""Lists and statistics, which may be a moment old: from a read replica where there is one."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.gateway.database import Database
from shared.vocabulary.faults import Unavailable

logger = structlog.get_logger(__name__)

T = TypeVar("T")

# A replica that could not be asked is left alone for so long.
AWAY_SECONDS = 5.0


class Readers:
    """`replica` None: everything is asked of the primary."""

    def __init__(self, primary: Database, replica: Database | None = None) -> None:
        self._primary = primary
        self._replica = replica
        self._is_away_until = 0.0

    async def read(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Of the primary while the replica cannot be asked."""
        if self._replica is None or time.monotonic() < self._is_away_until:
            return await self._primary.read(query)
        try:
            return await self._replica.read(query)
        except Unavailable as fault:
            self._is_away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("replica_unavailable", error=fault.detail)
            return await self._primary.read(query)

    async def close(self) -> None:
        if self._replica is not None:
            await self._replica.close()
