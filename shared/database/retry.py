"""Tries a whole transaction again after an error that passes."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from shared.database.faults import DATABASE_ERRORS, is_transient

logger = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 2.0


async def retry_transient(act: Callable[[], Awaitable[T]], *, name: str) -> T:
    """Run `act` until it succeeds or fails for good. The waits double, with full jitter, up to two seconds; the caller
    bounds the whole by cancelling. `act` must be one transaction."""
    wait_seconds = FIRST_WAIT_SECONDS
    while True:
        try:
            return await act()
        except DATABASE_ERRORS as error:
            if not is_transient(error):
                raise
            logger.warning("database_retry", act=name, error=repr(error), wait_seconds=wait_seconds)
        await asyncio.sleep(random.uniform(0, wait_seconds))  # noqa: S311 (spreads load, guards nothing)
        wait_seconds = min(wait_seconds * 2, LONGEST_WAIT_SECONDS)
