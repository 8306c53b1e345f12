"""Runs a part of the system in a process of its own: told what to do in one line, answering in one line."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

MEGABYTE = 1 << 20
KILOBYTE = 1 << 10
READY = b"ready\n"
PATIENCE_SECONDS = 600.0


class Worker:
    """A process that has said that it is ready."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self) -> None:
        await self._write(b"go\n")

    async def answer(self, kind: type[T]) -> T:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return msgspec.json.decode(await self._read(), type=kind)

    async def be_given(self, job: msgspec.Struct) -> None:
        await self._write(msgspec.json.encode(job) + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            if await self._read() != READY:
                raise RuntimeError("the process did not become ready; what it said is above")

    async def _write(self, line: bytes) -> None:
        if self._process.stdin is None:
            raise RuntimeError("the process has no standard input")
        self._process.stdin.write(line)
        await self._process.stdin.drain()

    async def _read(self) -> bytes:
        if self._process.stdout is None:
            raise RuntimeError("the process has no standard output")
        return await self._process.stdout.readline()


@contextlib.asynccontextmanager
async def working(module: str, job: msgspec.Struct) -> AsyncIterator[Worker]:
    """`module` run as a program, prepared for the job and waiting for `begin`."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, stdin=pipe, stdout=pipe)
    worker = Worker(process)
    try:
        await worker.be_given(job)
        yield worker
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def peak_memory_mb() -> float:
    """The most that this process has held in memory, from Linux's own account of it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * KILOBYTE / MEGABYTE
