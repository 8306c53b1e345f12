"""Waits for what a test expects, never for a while."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.01


async def wait_until(
    condition: Callable[[], object | Awaitable[object]], patience_seconds: float = PATIENCE_SECONDS
) -> None:
    """Return as soon as the condition holds; fail with its source when patience runs out."""
    deadline = time.monotonic() + patience_seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"never became true within {patience_seconds} s: {_text_of(condition)}")
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def _text_of(condition: Callable[[], object]) -> str:
    try:
        return inspect.getsource(condition).strip()
    except TypeError:
        return repr(condition)
