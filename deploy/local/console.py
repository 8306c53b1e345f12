"""Lines for the person at the keyboard, who may have closed the terminal by now."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def say(line: str) -> None:
    with suppress(OSError):
        print(line, flush=True)


@contextmanager
def timed(title: str) -> Iterator[None]:
    """Say, once done, how long it took."""
    started_at = time.monotonic()
    yield
    say(f"{title} in {time.monotonic() - started_at:.1f} s")
