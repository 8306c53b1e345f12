"""Tells, through the database, that a process lives: the gateway's readiness looks at it."""

import contextlib
import os
import socket
import time

import asyncpg
import msgspec

from shared.database.faults import DATABASE_ERRORS
from shared.database.statements import load_statements
from shared.runtime.loop import Part

BEAT_SECONDS = 1.0
SILENT_AFTER_SECONDS = 10.0
FORGOTTEN_AFTER_SECONDS = 3600.0
VERSION = "0.1.0"

SQL = load_statements("shared.runtime", "sql/heartbeat.sql")


class Beat(msgspec.Struct, frozen=True):
    pause_seconds: float = BEAT_SECONDS


def instance_name() -> str:
    """Unique among the living and the dead: a restarted process must not take its forerunner's leases for its own."""
    return f"{socket.gethostname()}-{os.getpid()}-{time.time_ns() // 1_000_000 % 10**9}"


class Heartbeat(Part):
    name = "heartbeat"

    def __init__(self, pool: asyncpg.Pool, service: str, instance: str) -> None:
        self._pool = pool
        self._service = service
        self._instance = instance

    async def run_once(self) -> Beat:
        await self._pool.execute(SQL["beat"].sql, self._service, self._instance, VERSION)
        await self._pool.execute(SQL["forget_silent"].sql, self._service, FORGOTTEN_AFTER_SECONDS)
        return Beat()

    async def stop(self) -> None:
        """A row that cannot be removed now falls silent and is swept away later."""
        with contextlib.suppress(*DATABASE_ERRORS):
            await self._pool.execute(SQL["end_heartbeat"].sql, self._service, self._instance)
