"""Executors as they are deployed: a process of their own, told of its stores by its environment."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.bench.harness.processes import KILOBYTE, MEGABYTE

TOKEN_KEY = "of-the-bench-and-nothing-else-0123456789"


class ExecutorProcess:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def memory_mb(self) -> float:
        """What it holds in memory now."""
        return self._of_status("VmRSS:")

    def peak_memory_mb(self) -> float:
        return self._of_status("VmHWM:")

    def _of_status(self, name: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        (line,) = [line for line in status.splitlines() if line.startswith(name)]
        return int(line.split()[1]) * KILOBYTE / MEGABYTE


@contextlib.asynccontextmanager
async def executing(database_url: str, redis_url: str, **settings: object) -> AsyncIterator[ExecutorProcess]:
    """One executor with its defaults, but that it may call this machine."""
    own = {
        "PAO_DATABASE_URL": database_url,
        "PAO_REDIS_URL": redis_url,
        "PAO_TOKEN_KEY": TOKEN_KEY,
        "PAO_OUTBOUND_ALLOW": "127.0.0.0/8",
        "PAO_LOG_LEVEL": "WARNING",
        **{f"PAO_{name.upper()}": str(value) for name, value in settings.items()},
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.executor", env={**os.environ, **own})
    try:
        yield ExecutorProcess(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
